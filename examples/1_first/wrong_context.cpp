// SPDX-License-Identifier: BSL-1.0
//
// A pool belongs to the context that it was made with: used from another one, it refuses.

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>

#include <boost/asio/detached.hpp>

#include <cstdio>

namespace asio = boost::asio;
using asio::ip::tcp;
using pool = loopsafe::connection_pool<loopsafe::tcp_connector>;

asio::awaitable<void> use(pool& orders)
{
    try {
        auto lease = co_await orders.acquire();
        std::printf("connected\n\n");
    } catch (const loopsafe::context_error& error) {
        std::printf("%s\n\n", error.what());
    }
}

int main()
{
    asio::io_context home, other;
    loopsafe::name_context(home, "home");
    loopsafe::name_context(other, "other");

    tcp::acceptor peer(home, {asio::ip::address_v4::loopback(), 0});
    pool orders(home, loopsafe::tcp_connector(peer.local_endpoint()), {.name = "orders"});

    for (auto* context : {&home, &other}) {
        asio::co_spawn(*context, use(orders), asio::detached);
        context->run();
    }
}
