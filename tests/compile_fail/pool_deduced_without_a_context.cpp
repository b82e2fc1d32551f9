// SPDX-License-Identifier: BSL-1.0
// The policy that is deduced has a home.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass_an_io_context_first_or_choose_null_pool_or_per_context_pool
// expect: ^(?!(?s:.*error: ){2})
#include "connectors.hpp"

#include <boost/asio/io_context.hpp>

void make(boost::asio::io_context& context)
{
#ifdef LOOPSAFE_TEST_CURE
    loopsafe::connection_pool pool{context, complete()};
#else
    static_cast<void>(context);
    loopsafe::connection_pool pool{complete()};
#endif
}
