// SPDX-License-Identifier: BSL-1.0
// A pool without a home takes no executor, which would mean nothing to it.
// expect: no matching (function|constructor)
// expect: (satisfaction of|does not satisfy) .pool_policy_with_a_home\b
#include "connectors.hpp"

void make(boost::asio::io_context& context)
{
#ifdef LOOPSAFE_TEST_CURE
    loopsafe::connection_pool<complete, loopsafe::keep_alive_pool> pool(context, complete{});
#else
    loopsafe::connection_pool<complete, loopsafe::null_pool> pool(context, complete{});
#endif
}
