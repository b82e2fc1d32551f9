// SPDX-License-Identifier: BSL-1.0
// A pool without a home takes no executor, which would mean nothing to it.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass_no_io_context_since_a_pool_with_this_policy_has_no_home
#include "connectors.hpp"

void make(boost::asio::io_context& context)
{
#ifdef LOOPSAFE_TEST_CURE
    loopsafe::connection_pool<complete, loopsafe::keep_alive_pool> pool(context, complete{});
#else
    loopsafe::connection_pool<complete, loopsafe::null_pool> pool(context, complete{});
#endif
}
