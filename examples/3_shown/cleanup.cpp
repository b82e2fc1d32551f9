// SPDX-License-Identifier: BSL-1.0
//
// An HTTP client that is closed after its event loop is gone: five endings of one program.
//
// The host runs a loop for each invocation. The client is kept between them and closed at the end
// of the program, long after its loop. This program is built with AddressSanitizer.

#include "../support/http_server.hpp"

#include <loopsafe.hpp>
#include <loopsafe/http.hpp>

#include <boost/asio/connect.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace asio = boost::asio;
namespace http = loopsafe::http;
using asio::ip::tcp;
using clock_type = std::chrono::steady_clock;

constexpr int requests = 3;

// The first ending, on bare Beast.
class plain_client {
public:
    asio::awaitable<void> get(tcp::endpoint server)
    {
        namespace beast_http = boost::beast::http;
        if (!socket_) {
            socket_.emplace(co_await asio::this_coro::executor);
            co_await socket_->async_connect(server, asio::use_awaitable);
        }
        beast_http::request<beast_http::empty_body> ask{beast_http::verb::get, "/", 11};
        ask.set(beast_http::field::host, "127.0.0.1");
        co_await beast_http::async_write(*socket_, ask, asio::use_awaitable);
        beast_http::response<beast_http::string_body> answer;
        co_await beast_http::async_read(*socket_, buffer_, answer, asio::use_awaitable);
    }
    void close() { socket_->close(); }

private:
    std::optional<tcp::socket> socket_;
    boost::beast::flat_buffer buffer_;
};

void close_bare_beast_too_late(tcp::endpoint server)
{
    plain_client client;
    loopsafe::run([&]() -> asio::awaitable<void> {
        for (int i = 0; i != requests; ++i)
            co_await client.get(server);
    });
    client.close(); // its context is gone
}

// Runs in a process of its own: what that prints to standard error.
std::string report_of(tcp::endpoint server)
{
    int ends[2];
    if (::pipe(ends) != 0)
        return "no pipe";
    const auto port = std::to_string(server.port());
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::execl("/proc/self/exe", "cleanup", "--bare", port.c_str(), nullptr);
        ::_exit(127);
    }
    ::close(ends[1]);
    std::string report;
    char some[4096];
    for (auto n = ::read(ends[0], some, sizeof some); n > 0; n = ::read(ends[0], some, sizeof some))
        report.append(some, static_cast<std::size_t>(n));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return report;
}

struct ending {
    std::string closed = "";
    std::string next_loop = "";
};

template <class Client>
asio::awaitable<void> ask(Client& client, const std::string& url)
{
    for (int i = 0; i != requests; ++i)
        co_await client.get(url);
}

// What another invocation gets from the same client.
template <class Client>
std::string use_again(Client& client, const std::string& url)
{
    try {
        loopsafe::run([&] { return ask(client, url); });
        return "served";
    } catch (const boost::system::system_error& e) {
        return "refused: " + e.code().message();
    }
}

template <class End>
void row(const char* name, const http_server& server, End end)
{
    const int before = server.connections();
    const auto started = clock_type::now();
    const ending seen = end();
    const std::chrono::duration<double, std::milli> took = clock_type::now() - started;
    std::printf("%-30s | %-34s | %-42s | %8d | %6.1f\n", name, seen.closed.c_str(),
                seen.next_loop.c_str(), server.connections() - before, took.count());
}

int main(int count, char** words)
{
    if (count == 3 && std::string(words[1]) == "--bare") {
        const auto port = static_cast<unsigned short>(std::stoi(words[2]));
        close_bare_beast_too_late({asio::ip::address_v4::loopback(), port});
        return 0;
    }
    const http_server server;
    const auto url = server.url();
    std::printf("%-30s | %-34s | %-42s | %8s | %6s\n", "ending", "closing it", "the next loop",
                "connects", "ms");
    std::string report;
    row("bare Beast, after its loop", server, [&]() -> ending {
        report = report_of(server.endpoint());
        const bool seen = report.find("AddressSanitizer: heap-use-after-free") != std::string::npos;
        return {seen ? "heap-use-after-free" : "nothing was seen", "not reached"};
    });
    row("loopsafe, after its loop", server, [&]() -> ending {
        std::optional<http::client> client;
        loopsafe::run([&]() -> asio::awaitable<void> {
            client.emplace(co_await asio::this_coro::executor);
            co_await ask(*client, url);
        });
        const auto again = use_again(*client, url);
        client->close();
        return {"safe: gone with its loop", again};
    });
    row("loopsafe, before its loop ends", server, [&]() -> ending {
        std::optional<http::client> client;
        loopsafe::run([&]() -> asio::awaitable<void> {
            client.emplace(co_await asio::this_coro::executor);
            co_await ask(*client, url);
            co_await client->async_close(std::chrono::seconds(1));
        });
        return {"safe: drained and closed", use_again(*client, url)};
    });
    row("offloaded, after its loop", server, [&]() -> ending {
        http::basic_client<loopsafe::keep_alive_pool, loopsafe::thread_offload> client;
        loopsafe::run([&] { return ask(client, url); });
        const auto again = use_again(client, url);
        client.close();
        return {"safe: it never was the loop's", again + " on the same connection"};
    });
    row("null_pool, after its loop", server, [&]() -> ending {
        http::basic_client<loopsafe::null_pool> client;
        loopsafe::run([&] { return ask(client, url); });
        const auto again = use_again(client, url);
        client.close();
        return {"safe: there was nothing to close", again + ", a connection each time"};
    });
    const auto from = report.find("==ERROR");
    std::printf("\nWhat AddressSanitizer reports of the first ending:\n%s\n",
                from == std::string::npos ? report.c_str() : report.substr(from, 900).c_str());
    return from == std::string::npos ? 1 : 0;
}
