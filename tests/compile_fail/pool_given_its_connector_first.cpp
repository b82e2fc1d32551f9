// SPDX-License-Identifier: BSL-1.0
// The context comes before the connector.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass_the_io_context_first
// expect: ^(?!(?s:.*error: ){2})
#include "connectors.hpp"

#include <boost/asio/io_context.hpp>

void make(boost::asio::io_context& context)
{
#ifdef LOOPSAFE_TEST_CURE
    loopsafe::connection_pool pool{context, complete()};
#else
    loopsafe::connection_pool pool{complete(), context};
#endif
}
