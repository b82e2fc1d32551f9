// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_EXAMPLES_HTTP_SERVER_HPP
#define LOOPSAFE_EXAMPLES_HTTP_SERVER_HPP

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>

/// A small HTTP server, made with Beast, on a thread of its own. It answers every request with
/// "hello", or as it is told, and counts its connections.
class http_server {
public:
    using request = boost::beast::http::request<boost::beast::http::string_body>;
    using response = boost::beast::http::response<boost::beast::http::string_body>;

    http_server() : http_server([](const request&, response& answer) { answer.body() = "hello"; })
    {
    }
    /// `fill` gets a response with status 200; it runs on the server's thread.
    explicit http_server(std::function<void(const request&, response&)> fill)
        : fill_(std::move(fill)), thread_([this] { context_.run(); })
    {
        boost::asio::co_spawn(context_, listen(), boost::asio::detached);
    }
    http_server(const http_server&) = delete;
    http_server& operator=(const http_server&) = delete;
    ~http_server()
    {
        context_.stop();
        thread_.join();
    }

    boost::asio::ip::tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
    std::string url() const
    {
        return "http://127.0.0.1:" + std::to_string(endpoint().port()) + "/";
    }
    int connections() const { return connections_; }

private:
    using tcp = boost::asio::ip::tcp;

    boost::asio::awaitable<void> listen()
    {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(boost::asio::use_awaitable);
            ++connections_;
            socket.set_option(tcp::no_delay(true));
            boost::asio::co_spawn(context_, serve(std::move(socket)), boost::asio::detached);
        }
    }

    boost::asio::awaitable<void> serve(tcp::socket socket)
    {
        namespace http = boost::beast::http;
        boost::beast::flat_buffer buffer;
        for (;;) {
            request asked;
            co_await http::async_read(socket, buffer, asked, boost::asio::use_awaitable);
            response answer{http::status::ok, asked.version()};
            answer.keep_alive(asked.keep_alive());
            fill_(asked, answer);
            answer.prepare_payload();
            co_await http::async_write(socket, answer, boost::asio::use_awaitable);
            if (!asked.keep_alive())
                break;
        }
    }

    const std::function<void(const request&, response&)> fill_;
    boost::asio::io_context context_{1};
    tcp::acceptor acceptor_{context_, {boost::asio::ip::address_v4::loopback(), 0}};
    std::atomic<int> connections_ = 0;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        context_.get_executor()};
    std::thread thread_;
};

#endif
