// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_DYING_CONTEXT_KINDS_HPP
#define LOOPSAFE_TESTS_LIFETIMES_DYING_CONTEXT_KINDS_HPP

#include "dying_context.hpp"

#include <array>

namespace dying_context {

// Waits for bytes that never come.
template <class Stream>
asio::awaitable<void> read_into_nothing(Stream& stream)
{
    std::array<char, 100> reply;
    co_await asio::async_read(stream, asio::buffer(reply), asio::use_awaitable);
}

struct tcp_socket {
    using stream = tcp::socket;

    static asio::awaitable<std::unique_ptr<stream>> connect(asio::any_io_executor executor,
                                                            tcp::endpoint peer)
    {
        auto socket = std::make_unique<stream>(executor);
        co_await socket->async_connect(peer, asio::use_awaitable);
        co_return socket;
    }
    static asio::awaitable<void> serve(tcp::socket socket)
    {
        co_await wait_for_ever(socket.get_executor());
    }
    static asio::awaitable<void> operate(stream& socket) { co_await read_into_nothing(socket); }
    static void touch(stream& socket)
    {
        error_code ignored;
        socket.cancel(ignored);
        socket.close(ignored);
    }
};

} // namespace dying_context

#endif
