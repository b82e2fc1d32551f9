// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOADED_CONNECTION_POOL_HPP
#define LOOPSAFE_OFFLOADED_CONNECTION_POOL_HPP

/// A pool whose connections live on worker threads and serve every context.
///
///     loopsafe::connection_pool<postgres::connector, keep_alive_pool, thread_offload> db{how};
///
///     auto lease = co_await db.acquire();
///     auto rows = co_await lease.run([](auto& c) { return c.wait(c->query("select 1")); });
#include <loopsafe/offload/connection_pool.hpp>

#endif
