// SPDX-License-Identifier: BSL-1.0
//
// The mistake that the README begins with: a pool outlives its io_context, and is refused.

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>

#include <cstdio>
#include <optional>

namespace asio = boost::asio;
using asio::ip::tcp;

using pool = loopsafe::connection_pool<loopsafe::tcp_connector>;

std::optional<pool> orders; // kept between invocations

asio::awaitable<void> handler(tcp::endpoint server)
{
    if (!orders)
        orders.emplace(co_await asio::this_coro::executor, loopsafe::tcp_connector(server),
                       pool::options{.name = "orders"});
    auto lease = co_await orders->acquire();
    std::puts("connected");
}

int main()
{
    asio::io_context peer;
    tcp::acceptor server(peer, {asio::ip::address_v4::loopback(), 0});
    for (int invocation = 1; invocation <= 2; ++invocation) {
        try {
            loopsafe::run([&] { return handler(server.local_endpoint()); }); // a fresh io_context
        } catch (const loopsafe::context_error& error) {
            std::puts(error.what());
        }
    }
}
