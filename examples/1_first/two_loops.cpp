// SPDX-License-Identifier: BSL-1.0
//
// A server with a context for each core and one HTTP client for all of them.
//
// Each context keeps its own connections to the back end.

#include "../support/http_server.hpp"

#include <loopsafe/http.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace http = loopsafe::http;
using asio::ip::tcp;

// At namespace scope, before any context: with a client that has a home this would not compile.
http::basic_client<loopsafe::per_context_pool> backend;

// One core: a context, and a socket of its own on the port that all of them share.
class core {
public:
    core(tcp::endpoint at, std::string url) : url_(std::move(url))
    {
        acceptor_.open(at.protocol());
        acceptor_.set_option(asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>(true));
        acceptor_.bind(at);
        acceptor_.listen();
    }
    core(const core&) = delete;
    core& operator=(const core&) = delete;
    ~core()
    {
        context_.stop();
        thread_.join();
    }

    void start()
    {
        asio::co_spawn(context_, listen(), asio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }
    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
    int served() const { return served_; }

private:
    asio::awaitable<void> listen()
    {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
            asio::co_spawn(context_, serve(std::move(socket)), asio::detached);
        }
    }

    // Passes on the answer of the back end.
    asio::awaitable<void> serve(tcp::socket socket)
    {
        namespace beast_http = boost::beast::http;
        boost::beast::flat_buffer buffer;
        beast_http::request<beast_http::empty_body> asked;
        co_await beast_http::async_read(socket, buffer, asked, asio::use_awaitable);
        const auto said = co_await backend.get(url_);
        beast_http::response<beast_http::string_body> answer{beast_http::status::ok, 11};
        answer.body() = said.body;
        answer.keep_alive(false);
        answer.prepare_payload();
        ++served_; // before the answer, since the caller reads the count when it has that
        co_await beast_http::async_write(socket, answer, asio::use_awaitable);
    }

    const std::string url_;
    asio::io_context context_{1};
    tcp::acceptor acceptor_{context_};
    std::atomic<int> served_ = 0;
    std::thread thread_;
};

int main()
{
    constexpr int cores = 2;
    constexpr int requests = 200;
    const http_server behind;
    std::vector<std::unique_ptr<core>> front;
    for (int i = 0; i != cores; ++i)
        front.push_back(std::make_unique<core>(
            i == 0 ? tcp::endpoint(asio::ip::address_v4::loopback(), 0) : front[0]->endpoint(),
            behind.url()));
    for (auto& each : front)
        each->start();

    // The callers: a new connection each time, so that the kernel spreads them over the cores.
    asio::io_context callers(1);
    http::basic_client<loopsafe::null_pool> caller;
    const auto url = "http://127.0.0.1:" + std::to_string(front[0]->endpoint().port()) + "/";
    int answered = 0;
    asio::co_spawn(
        callers,
        [&]() -> asio::awaitable<void> {
            for (int i = 0; i != requests; ++i)
                answered += (co_await caller.get(url)).body == "hello" ? 1 : 0;
        },
        asio::detached);
    callers.run();

    std::printf("%d requests answered\n", answered);
    int served = 0;
    for (int i = 0; i != cores; ++i) {
        const int here = front[static_cast<std::size_t>(i)]->served();
        std::printf("core %d served %d\n", i, here);
        served += here;
    }
    std::printf("connections to the back end: %d, one for each core that was asked\n",
                behind.connections());
    if (answered == requests && served == requests)
        return 0;
    std::fprintf(stderr, "two_loops: %d requests, but the cores served %d\n", requests, served);
    return 1;
}
