// SPDX-License-Identifier: BSL-1.0
// The connection of a worker thread is used there.
// expect: deleted (function|operator)
// expect: call_run_with_a_function_that_takes_the_connection
#include "connectors.hpp"

#include <loopsafe/offloaded_connection_pool.hpp>

struct counted : connection {
    int count() const;
};

struct counting {
    using connection_type = counted;
    boost::asio::awaitable<counted> connect(boost::asio::any_io_executor) const;
    bool is_clean(const counted&) const noexcept;
    bool probe(counted&) const noexcept;
};

using lease = loopsafe::lease<counting, loopsafe::keep_alive_pool, loopsafe::thread_offload>;

boost::asio::awaitable<int> count(lease& from)
{
#ifdef LOOPSAFE_TEST_CURE
    co_return co_await from.run([](auto& connection) { return connection->count(); });
#else
    co_return from->count();
#endif
}
