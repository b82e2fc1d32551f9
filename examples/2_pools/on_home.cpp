// SPDX-License-Identifier: BSL-1.0
//
// A pool with a home, used from a context on another thread: refused, then on its home by
// on_home().

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>

#include <boost/asio.hpp>

#include <cstdio>
#include <functional>
#include <string>
#include <thread>

namespace asio = boost::asio;
using asio::ip::tcp;
using pool = loopsafe::connection_pool<loopsafe::tcp_connector>;

// Runs on the home. It takes what it needs as values, and returns one: no lease comes back.
asio::awaitable<std::string> ask(pool& echo, std::string line)
{
    auto lease = co_await echo.acquire();
    co_await asio::async_write(*lease, asio::buffer(line), asio::use_awaitable);
    co_await asio::async_read(*lease, asio::buffer(line), asio::use_awaitable);
    lease.release();
    co_return line;
}

asio::awaitable<void> elsewhere(pool& echo)
{
    try {
        co_await ask(echo, "refused\n");
    } catch (const loopsafe::context_error& error) {
        std::printf("%s\n", error.what());
    }
    const auto answer = co_await loopsafe::on_home(echo, ask, std::ref(echo), "hello");
    std::printf("answer: %s\n", answer.c_str());
}

asio::awaitable<void> serve(tcp::acceptor& acceptor)
{
    auto peer = co_await acceptor.async_accept(asio::use_awaitable);
    char line[5];
    co_await asio::async_read(peer, asio::buffer(line), asio::use_awaitable);
    co_await asio::async_write(peer, asio::buffer(line), asio::use_awaitable);
}

int main()
{
    asio::io_context home;
    const auto work = asio::make_work_guard(home);
    tcp::acceptor acceptor(home, {asio::ip::address_v4::loopback(), 0});
    loopsafe::spawn(home.get_executor(), serve(acceptor));
    pool echo(home, loopsafe::tcp_connector(acceptor.local_endpoint()));
    std::thread runs_it([&] { home.run(); });
    loopsafe::run([&] { return elsewhere(echo); }); // a context of its own, on this thread
    home.stop();
    runs_it.join();
}
