// SPDX-License-Identifier: BSL-1.0
// A pool on worker threads takes no executor, either.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass_no_io_context_since_a_pool_of_worker_threads_has_no_home
#include "connectors.hpp"

#include <loopsafe/offloaded_connection_pool.hpp>

using pool =
    loopsafe::connection_pool<complete, loopsafe::keep_alive_pool, loopsafe::thread_offload>;

void make(boost::asio::any_io_executor executor)
{
#ifdef LOOPSAFE_TEST_CURE
    static_cast<void>(executor);
    pool workers(complete{});
#else
    pool workers(executor, complete{});
#endif
}
