// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_COUNTING_LINK_HPP
#define LOOPSAFE_TESTS_SUPPORT_COUNTING_LINK_HPP

#include <boost/asio.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

namespace support {

// A proxy on loopback, on a thread of its own, that counts round trips: how often a client has said
// something after it had heard something. It passes everything on at once.
class counting_link {
public:
    explicit counting_link(std::uint16_t server_port)
        : server_(boost::asio::ip::address_v4::loopback(), server_port)
    {
        boost::asio::co_spawn(context_, listen(), boost::asio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }
    counting_link(const counting_link&) = delete;
    ~counting_link()
    {
        context_.stop();
        thread_.join();
    }

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    int round_trips() const noexcept { return round_trips_; }

private:
    using tcp = boost::asio::ip::tcp;

    struct link {
        explicit link(tcp::socket accepted)
            : client(std::move(accepted)), server(client.get_executor())
        {
        }

        tcp::socket client;
        tcp::socket server;
        bool heard = true; // the connect
    };

    boost::asio::awaitable<void> listen()
    {
        for (;;) {
            auto l =
                std::make_shared<link>(co_await acceptor_.async_accept(boost::asio::use_awaitable));
            co_await l->server.async_connect(server_, boost::asio::use_awaitable);
            l->client.set_option(tcp::no_delay(true));
            l->server.set_option(tcp::no_delay(true));
            boost::asio::co_spawn(context_, pass_on(l, true), boost::asio::detached);
            boost::asio::co_spawn(context_, pass_on(l, false), boost::asio::detached);
        }
    }

    boost::asio::awaitable<void> pass_on(std::shared_ptr<link> l, bool up)
    {
        auto& from = up ? l->client : l->server;
        auto& to = up ? l->server : l->client;
        std::array<char, 16 * 1024> bytes{};
        boost::system::error_code ec;
        while (!ec) {
            const auto many = co_await from.async_read_some(
                boost::asio::buffer(bytes),
                boost::asio::redirect_error(boost::asio::use_awaitable, ec));
            if (ec)
                break;
            if (std::exchange(l->heard, !up) && up)
                ++round_trips_;
            co_await boost::asio::async_write(
                to, boost::asio::buffer(bytes, many),
                boost::asio::redirect_error(boost::asio::use_awaitable, ec));
        }
        to.shutdown(tcp::socket::shutdown_send, ec);
    }

    tcp::endpoint server_;
    std::atomic<int> round_trips_{0};
    boost::asio::io_context context_{1};
    tcp::acceptor acceptor_{context_, {boost::asio::ip::address_v4::loopback(), 0}};
    std::thread thread_;
};

} // namespace support

#endif
