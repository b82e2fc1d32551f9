// SPDX-License-Identifier: BSL-1.0
//
// One pool for a context per core: each context keeps its own connections.

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cstdio>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using shared_pool = loopsafe::connection_pool<loopsafe::tcp_connector, loopsafe::per_context_pool>;

asio::awaitable<void> echo(tcp::socket peer)
{
    char byte[1];
    for (;;) {
        const auto n = co_await peer.async_read_some(asio::buffer(byte), asio::use_awaitable);
        co_await asio::async_write(peer, asio::buffer(byte, n), asio::use_awaitable);
    }
}

asio::awaitable<void> serve(tcp::acceptor& acceptor)
{
    for (;;)
        asio::co_spawn(acceptor.get_executor(),
                       echo(co_await acceptor.async_accept(asio::use_awaitable)), asio::detached);
}

asio::awaitable<void> exchange(shared_pool& pool, int times)
{
    for (int i = 0; i < times; ++i) {
        auto lease = co_await pool.acquire();
        char byte[1] = {'x'};
        co_await asio::async_write(*lease, asio::buffer(byte), asio::use_awaitable);
        co_await asio::async_read(*lease, asio::buffer(byte), asio::use_awaitable);
    }
}

int main()
{
    asio::io_context server(1);
    tcp::acceptor acceptor(server, {asio::ip::address_v4::loopback(), 0});
    asio::co_spawn(server, serve(acceptor), asio::detached);
    std::thread serving([&] { server.run(); });

    shared_pool pool{loopsafe::tcp_connector(acceptor.local_endpoint())};
    const auto cores = std::max(2u, std::thread::hardware_concurrency());
    std::vector<std::thread> threads;
    for (unsigned core = 0; core < cores; ++core)
        threads.emplace_back([&] { loopsafe::run([&] { return exchange(pool, 1000); }); });
    for (auto& thread : threads)
        thread.join();
    server.stop();
    serving.join();

    const auto seen = pool.stats();
    std::printf("contexts %u, exchanges %llu, connections made %llu, still open %zu\n", cores,
                static_cast<unsigned long long>(seen.acquired),
                static_cast<unsigned long long>(seen.connects), seen.idle + seen.leased);
    return seen.connects == cores && seen.idle + seen.leased == 0 ? 0 : 1;
}
