// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_HTTP_PEERS_HPP
#define LOOPSAFE_TESTS_BENCH_HTTP_PEERS_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

// The loops that one would write by hand on Beast, and what they ask for.
namespace bench {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace beast_http = boost::beast::http;
using asio::ip::tcp;

constexpr std::string_view answer = "HTTP/1.1 200 OK\r\n"
                                    "Server: x/1.0\r\n"
                                    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                                    "Content-Type: text/plain\r\n"
                                    "Connection: keep-alive\r\n"
                                    "Content-Length: 13\r\n"
                                    "\r\n"
                                    "Hello, World!";

// What is asked for, again and again.
struct page {
    unsigned short port = 0;
    std::string path = "/";
    std::size_t size = 13;

    std::string url() const { return "http://127.0.0.1:" + std::to_string(port) + path; }
    tcp::endpoint endpoint() const { return {asio::ip::address_v4::loopback(), port}; }
};

inline void require(bool well)
{
    if (!well)
        throw std::runtime_error("the wrong response");
}

using executor_type = asio::io_context::executor_type;
using awaitable_type = asio::awaitable<void, executor_type>;
constexpr asio::use_awaitable_t<executor_type> direct{};
using direct_socket = asio::basic_stream_socket<tcp, executor_type>;

inline direct_socket connected(const executor_type& executor, const page& wanted)
{
    direct_socket socket(executor);
    socket.connect(wanted.endpoint());
    socket.set_option(tcp::no_delay(true));
    return socket;
}

// Row D of the research: a socket and an awaitable on the context's own executor, Beast's messages.
class by_messages {
public:
    by_messages(const executor_type& executor, const page& wanted)
        : socket_(connected(executor, wanted)),
          size_(wanted.size),
          request_(beast_http::verb::get, wanted.path, 11)
    {
        request_.set(beast_http::field::host, "127.0.0.1:8080");
        request_.set(beast_http::field::user_agent, "mb/1");
        request_.set(beast_http::field::accept, "*/*");
    }

    // As many as are left, which others may take from, too.
    awaitable_type requests(int& left)
    {
        while (left-- > 0) {
            co_await beast_http::async_write(socket_, request_, direct);
            beast_http::response<beast_http::string_body> response;
            co_await beast_http::async_read(socket_, buffer_, response, direct);
            require(response.body().size() == size_);
        }
    }

private:
    direct_socket socket_;
    std::size_t size_;
    beast_http::request<beast_http::empty_body> request_;
    beast::flat_buffer buffer_;
};

// Row S: a request that is text already, and a loop of one's own over Beast's parser.
class by_parser {
public:
    by_parser(const executor_type& executor, const page& wanted)
        : socket_(connected(executor, wanted)),
          size_(wanted.size),
          request_("GET " + wanted.path +
                   " HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: mb/1\r\nAccept: */*\r\n\r\n")
    {
    }

    awaitable_type requests(int& left)
    {
        while (left-- > 0) {
            co_await asio::async_write(socket_, asio::buffer(request_), direct);
            beast_http::response_parser<beast_http::string_body> parser;
            parser.eager(true);
            while (!parser.is_done()) {
                if (buffer_.size() != 0) {
                    beast::error_code ec;
                    buffer_.consume(parser.put(buffer_.data(), ec));
                    require(!ec || ec == beast_http::error::need_more);
                    if (parser.is_done())
                        break;
                }
                buffer_.commit(co_await socket_.async_read_some(buffer_.prepare(8192), direct));
            }
            require(parser.get().body().size() == size_);
        }
    }

private:
    direct_socket socket_;
    std::size_t size_;
    std::string request_;
    beast::flat_buffer buffer_;
};

} // namespace bench

#endif
