// SPDX-License-Identifier: BSL-1.0
//
// A pool of something of your own: a connector for a line protocol with a greeting.

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>

#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <cstdio>
#include <string>
#include <thread>

namespace asio = boost::asio;
using asio::ip::tcp;

struct line_client {
    loopsafe::tcp_stream stream;
    std::string input = {};

    asio::awaitable<std::string> read_line()
    {
        const auto n = co_await asio::async_read_until(stream, asio::dynamic_buffer(input), '\n',
                                                       asio::use_awaitable);
        auto line = input.substr(0, n - 1);
        input.erase(0, n);
        co_return line;
    }

    asio::awaitable<std::string> ask(std::string line)
    {
        line += '\n';
        co_await asio::async_write(stream, asio::buffer(line), asio::use_awaitable);
        co_return co_await read_line();
    }
};

// How such a connection is born, judged and probed: loopsafe::connector says what each must do.
class line_connector {
public:
    using connection_type = line_client;

    explicit line_connector(tcp::endpoint endpoint) : tcp_(endpoint) {}

    asio::awaitable<line_client> connect(asio::any_io_executor executor) const
    {
        auto stream = co_await tcp_.connect(executor);
        line_client client{std::move(stream)};
        if (co_await client.read_line() != "ready")
            throw std::runtime_error("the server did not greet");
        co_return client;
    }
    bool is_clean(const line_client& client) const noexcept
    {
        return client.stream.is_clean() && client.input.empty();
    }
    bool probe(line_client& client) const noexcept { return tcp_.probe(client.stream); }

private:
    loopsafe::tcp_connector tcp_;
};

static_assert(loopsafe::connector<line_connector>);

void serve_one(tcp::acceptor& acceptor) // greets, then echoes lines
{
    auto peer = acceptor.accept();
    asio::write(peer, asio::buffer("ready\n", 6));
    std::string line;
    for (boost::system::error_code ec;;) {
        const auto n = asio::read_until(peer, asio::dynamic_buffer(line), '\n', ec);
        if (ec)
            return;
        asio::write(peer, asio::buffer(line, n), ec);
        line.erase(0, n);
    }
}

int main()
{
    asio::io_context server;
    tcp::acceptor acceptor(server, {asio::ip::address_v4::loopback(), 0});
    std::thread serving([&] { serve_one(acceptor); });

    loopsafe::run([&]() -> asio::awaitable<void> {
        loopsafe::connection_pool<line_connector> pool{co_await asio::this_coro::executor,
                                                       line_connector(acceptor.local_endpoint())};
        for (const char* line : {"one", "two", "three"}) {
            auto lease = co_await pool.acquire();
            const auto answer = co_await lease->ask(line);
            std::printf("%s\n", answer.c_str());
        }
    });
    serving.join();
}
