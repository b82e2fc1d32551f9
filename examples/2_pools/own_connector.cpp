// SPDX-License-Identifier: BSL-1.0
//
// A pool of your own connections: a connector for a line protocol with a greeting.

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>

#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <thread>

namespace asio = boost::asio;
using asio::ip::tcp;

struct line_client {
    loopsafe::tcp_stream stream;
    std::string input = {};
    bool asked = false; // and not yet answered

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
        asked = true;
        line += '\n';
        co_await asio::async_write(stream, asio::buffer(line), asio::use_awaitable);
        auto answer = co_await read_line();
        asked = false;
        co_return answer;
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
        return client.stream.is_clean() && client.input.empty() && !client.asked;
    }
    bool probe(line_client& client) const noexcept { return tcp_.probe(client.stream); }

    // With these, carry_over_pool can take a connection from one context to the next. In between
    // there is only the handle of its stream: a clean connection has nothing else to remember.
    using handle_type = loopsafe::tcp_connector::handle_type;
    static constexpr bool frames_messages = true; // is_clean() knows where they end

    std::optional<handle_type> detach(line_client& client) const noexcept
    {
        return tcp_.detach(client.stream);
    }
    line_client attach(handle_type&& handle, const asio::any_io_executor& executor) const
    {
        return line_client{tcp_.attach(std::move(handle), executor)};
    }

    // Called in a forked child, for what belongs to the parent.
    void abandon(line_client& client) const noexcept { tcp_.abandon(client.stream); }
    void abandon(handle_type& handle) const noexcept { tcp_.abandon(handle); }

private:
    loopsafe::tcp_connector tcp_;
};

static_assert(loopsafe::connector<line_connector> && loopsafe::can_carry<line_connector>);

void serve_next(tcp::acceptor& acceptor) // greets, then echoes lines
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

template <class Pool>
asio::awaitable<void> ask(Pool& pool, const char* line)
{
    auto lease = co_await pool.acquire();
    const auto answer = co_await lease->ask(line);
    std::printf("%s\n", answer.c_str());
}

int main()
{
    asio::io_context server;
    tcp::acceptor acceptor(server, {asio::ip::address_v4::loopback(), 0});
    std::thread serving([&] {
        serve_next(acceptor);
        serve_next(acceptor);
    });
    const line_connector how(acceptor.local_endpoint());

    loopsafe::run([&]() -> asio::awaitable<void> {
        loopsafe::connection_pool<line_connector> pool{co_await asio::this_coro::executor, how};
        for (const char* line : {"one", "two", "three"})
            co_await ask(pool, line);
    });
    {
        loopsafe::connection_pool<line_connector, loopsafe::carry_over_pool> pool{how};
        for (const char* line : {"four", "five", "six"})
            loopsafe::run([&] { return ask(pool, line); }); // a context each
        std::printf("%zu connection for three contexts\n",
                    static_cast<std::size_t>(pool.stats().connects));
    }
    serving.join();
}
