// SPDX-License-Identifier: BSL-1.0
// An acquire gives a lease to who awaits it.
// expect: (use of|invokes a) deleted function
// expect: co_await_the_acquire_to_get_its_lease
#include "connectors.hpp"

using pool = loopsafe::connection_pool<complete>;

boost::asio::awaitable<void> use(pool& from)
{
#ifdef LOOPSAFE_TEST_CURE
    const pool::lease_type lease = co_await from.acquire();
#else
    const pool::lease_type lease = from.acquire();
    co_return;
#endif
}
