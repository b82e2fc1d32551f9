// SPDX-License-Identifier: BSL-1.0
// expect: the result belongs to the other context, as a lease does
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/scopes.hpp>
#include <loopsafe/tcp.hpp>

using pool = loopsafe::connection_pool<loopsafe::tcp_connector>;

boost::asio::awaitable<void> elsewhere(pool& p)
{
    const auto acquire = [&p]() -> boost::asio::awaitable<pool::lease_type> {
        co_return co_await p.acquire();
    };
#ifdef LOOPSAFE_TEST_CURE
    const auto use = [&acquire]() -> boost::asio::awaitable<void> { co_await acquire(); };
    co_await loopsafe::on_home(p, use);
#else
    co_await loopsafe::on_home(p, acquire);
#endif
}
