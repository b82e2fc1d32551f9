// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_DYING_CONTEXT_BEAST_HPP
#define LOOPSAFE_TESTS_LIFETIMES_DYING_CONTEXT_BEAST_HPP

#include "dying_context_kinds.hpp"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>

#include <chrono>

namespace dying_context {

namespace beast = boost::beast;

// Waits for a response that never comes.
template <class Stream>
asio::awaitable<void> read_response(Stream& stream)
{
    beast::flat_buffer buffer;
    beast::http::response<beast::http::empty_body> response;
    co_await beast::http::async_read(stream, buffer, response, asio::use_awaitable);
}

struct beast_tcp_stream {
    using stream = beast::tcp_stream;

    static asio::awaitable<std::unique_ptr<stream>> connect(asio::any_io_executor executor,
                                                            tcp::endpoint peer)
    {
        auto made = std::make_unique<stream>(executor);
        made->expires_after(std::chrono::hours(1));
        co_await made->async_connect(peer, asio::use_awaitable);
        co_return made;
    }
    static asio::awaitable<void> serve(tcp::socket socket)
    {
        return tcp_socket::serve(std::move(socket));
    }
    static asio::awaitable<void> operate(stream& connected)
    {
        connected.expires_after(std::chrono::hours(1));
        co_await read_into_nothing(connected);
    }
    static void touch(stream& connected)
    {
        connected.cancel();
        connected.close();
    }
};

struct http_over_beast : beast_tcp_stream {
    static asio::awaitable<void> operate(stream& connected)
    {
        connected.expires_after(std::chrono::hours(1));
        co_await read_response(connected);
    }
};

} // namespace dying_context

#endif
