// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_PLAIN_TRANSPORT_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_PLAIN_TRANSPORT_HPP

#include <loopsafe/async/detail/wait_either.hpp>
#include <loopsafe/error.hpp>
#include <loopsafe/tcp/detail/parked_socket.hpp>
#include <loopsafe/tcp/detail/probe.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/system/system_category.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

// Carries the bytes on a socket of any kind.
class plain_transport {
public:
    using socket = asio::generic::stream_protocol::socket;
    using outgoing = std::array<asio::const_buffer, 2>; // one system call
    using parked = loopsafe::detail::parked_socket<socket>;

    explicit plain_transport(socket s) : socket_(std::move(s)) {}

    socket& next_layer() noexcept { return socket_; }
    int native_handle() noexcept { return socket_.native_handle(); }

    // Both without waiting. False: the result is only known after a wait.
    bool try_write_some(const outgoing& from, error_code& ec, std::size_t& n)
    {
        std::array<iovec, 2> parts{part_of(from[0]), part_of(from[1])};
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        return moved(::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL), ec,
                     n);
    }
    bool try_read_some(asio::mutable_buffer to, error_code& ec, std::size_t& n) noexcept
    {
        if (!moved(::recv(socket_.native_handle(), to.data(), to.size(), MSG_DONTWAIT), ec, n))
            return false;
        if (n == 0 && !ec)
            ec = asio::error::eof;
        return true;
    }

    // Until there is something to read or room to write. Completion signature: void(error_code).
    template <class Token>
    auto async_wait_either(Token&& token)
    {
        return loopsafe::detail::async_wait_either(socket_, std::forward<Token>(token));
    }

    // Nothing has arrived, not even the end.
    bool is_silent() noexcept { return loopsafe::detail::seems_alive(native_handle()); }

    // The transport outside of any context.
    std::optional<parked> detach() noexcept { return parked::take_from(socket_); }

    static plain_transport attach(parked& from, const asio::any_io_executor& executor)
    {
        socket s(executor);
        from.give_to(s);
        return plain_transport(std::move(s));
    }

private:
    static iovec part_of(const asio::const_buffer& from) noexcept
    {
        return {const_cast<void*>(from.data()), from.size()};
    }

    static bool moved(ssize_t result, error_code& ec, std::size_t& n) noexcept
    {
        n = 0;
        if (result >= 0)
            n = static_cast<std::size_t>(result);
        else if (errno == EAGAIN || errno == EINTR)
            return false;
        else
            ec.assign(errno, boost::system::system_category());
        return true;
    }

    socket socket_;
};

} // namespace loopsafe::http::detail

#endif
