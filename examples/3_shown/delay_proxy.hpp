// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_EXAMPLES_DELAY_PROXY_HPP
#define LOOPSAFE_EXAMPLES_DELAY_PROXY_HPP

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

/// A link with a given round trip: a TCP proxy on a thread of its own. It passes on whatever comes
/// half a round trip later and in order.
///
/// On loopback the kernel completes a connect at once, so its round trip is added here: what a
/// client sends within the first round trip counts as sent at its end, and the proxy connects to
/// the server when that arrives.
class delay_proxy {
public:
    delay_proxy(boost::asio::ip::tcp::endpoint server, std::chrono::nanoseconds round_trip)
        : server_(server), half_(round_trip / 2)
    {
        boost::asio::co_spawn(context_, listen(), boost::asio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }
    delay_proxy(const delay_proxy&) = delete;
    delay_proxy& operator=(const delay_proxy&) = delete;
    ~delay_proxy()
    {
        context_.stop();
        thread_.join();
    }

    boost::asio::ip::tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

private:
    using tcp = boost::asio::ip::tcp;
    using clock = std::chrono::steady_clock;

    // From one socket to the other. Nothing wakes the writer while something is on its way.
    struct direction {
        direction(tcp::socket& source, tcp::socket& sink)
            : from(source), to(sink), timer(source.get_executor())
        {
        }

        tcp::socket& from;
        tcp::socket& to;
        struct chunk {
            clock::time_point arrives;
            std::vector<char> bytes; // none: the end
        };
        std::deque<chunk> on_the_way;
        boost::asio::steady_timer timer;
    };

    struct link {
        explicit link(tcp::socket accepted)
            : client(std::move(accepted)), server(client.get_executor())
        {
        }

        tcp::socket client;
        tcp::socket server;
        direction up{client, server};
        direction down{server, client};
    };

    boost::asio::awaitable<void> listen()
    {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(boost::asio::use_awaitable);
            const auto connected = clock::now() + 2 * half_;
            auto l = std::make_shared<link>(std::move(socket));
            boost::asio::co_spawn(context_, read(l, &link::up, connected), boost::asio::detached);
            boost::asio::co_spawn(context_, serve(l, connected), boost::asio::detached);
        }
    }

    boost::asio::awaitable<void> serve(std::shared_ptr<link> l, clock::time_point connected)
    {
        l->up.timer.expires_at(connected + half_);
        co_await l->up.timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        co_await l->server.async_connect(server_, boost::asio::use_awaitable);
        l->client.set_option(tcp::no_delay(true));
        l->server.set_option(tcp::no_delay(true));
        boost::asio::co_spawn(context_, read(l, &link::down, connected), boost::asio::detached);
        boost::asio::co_spawn(context_, write(l, &link::down), boost::asio::detached);
        co_await write(l, &link::up);
    }

    boost::asio::awaitable<void> read(std::shared_ptr<link> l, direction link::* which,
                                      clock::time_point connected)
    {
        direction& d = (*l).*which;
        for (bool end = false; !end;) {
            std::vector<char> bytes(16 * 1024);
            const auto [ec, n] = co_await d.from.async_read_some(
                boost::asio::buffer(bytes), boost::asio::as_tuple(boost::asio::use_awaitable));
            bytes.resize(ec ? 0 : n);
            end = bytes.empty();
            d.on_the_way.push_back({std::max(clock::now(), connected) + half_, std::move(bytes)});
            if (d.on_the_way.size() == 1)
                d.timer.cancel();
        }
    }

    boost::asio::awaitable<void> write(std::shared_ptr<link> l, direction link::* which)
    {
        direction& d = (*l).*which;
        for (;;) {
            while (d.on_the_way.empty() || clock::now() < d.on_the_way.front().arrives) {
                d.timer.expires_at(d.on_the_way.empty() ? clock::time_point::max()
                                                        : d.on_the_way.front().arrives);
                co_await d.timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
            }
            const auto bytes = std::move(d.on_the_way.front().bytes);
            d.on_the_way.pop_front();
            boost::system::error_code ec;
            if (bytes.empty()) {
                d.to.shutdown(tcp::socket::shutdown_send, ec);
                break;
            }
            std::tie(ec, std::ignore) = co_await boost::asio::async_write(
                d.to, boost::asio::buffer(bytes),
                boost::asio::as_tuple(boost::asio::use_awaitable));
            if (ec) {
                l->client.close();
                l->server.close();
                break;
            }
        }
    }

    tcp::endpoint server_;
    std::chrono::nanoseconds half_;
    boost::asio::io_context context_{1};
    tcp::acceptor acceptor_{context_, {boost::asio::ip::address_v4::loopback(), 0}};
    std::thread thread_;
};

#endif
