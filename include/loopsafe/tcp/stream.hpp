// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_STREAM_HPP
#define LOOPSAFE_TCP_STREAM_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/tcp/detail/stream_op.hpp>

#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <source_location>
#include <utility>

namespace loopsafe {

/// A TCP connection that refuses to work on any context but its own.
///
/// Every operation first compares the caller's context, that of the handler's associated executor,
/// with the home; a handler without one counts as home. So on another context, an operation fails
/// with `wrong_context`, or `context_closed`, before a byte is sent or read.
///
/// Meets Asio's AsyncReadStream and AsyncWriteStream, so `asio::async_read`, `async_write` and
/// Beast accept it like a socket. Thread safety: distinct objects safe, shared objects unsafe.
class tcp_stream {
public:
    using next_layer_type = boost::asio::ip::tcp::socket;
    using lowest_layer_type = next_layer_type::lowest_layer_type;
    using executor_type = next_layer_type::executor_type;

    /// Takes a connected socket. Its context becomes the home.
    ///
    /// Errors: `no_context` (as `context_error`) if the socket's executor names none.
    explicit tcp_stream(next_layer_type socket,
                        std::source_location where = std::source_location::current());

    /// Preconditions: no operation is pending on `other`.
    tcp_stream(tcp_stream&& other) noexcept = default;
    tcp_stream& operator=(tcp_stream&& other) noexcept = default;

    executor_type get_executor() noexcept { return socket_.get_executor(); }
    const context_ref& home() const noexcept { return home_; }

    /// The socket itself; operations on it are neither checked nor counted.
    next_layer_type& next_layer() noexcept { return socket_; }
    const next_layer_type& next_layer() const noexcept { return socket_; }
    lowest_layer_type& lowest_layer() noexcept { return socket_.lowest_layer(); }

    /// Whether every operation begun has completed without error.
    bool is_clean() const noexcept { return socket_.is_open() && ops_->clean(); }

    /// Reads some bytes.
    ///
    /// Completion signature: `void(error_code, std::size_t)`.
    /// Errors: `wrong_context`, `context_closed`; those of the socket.
    /// Per-operation cancellation: as the socket's.
    template <class MutableBuffers, boost::asio::completion_token_for<void(error_code, std::size_t)>
                                        Token = boost::asio::deferred_t>
    auto async_read_some(const MutableBuffers& buffers, Token&& token = {})
    {
        return detail::checked_op<void(error_code, std::size_t)>(
            *this, ops_, token, [this, buffers](auto handler) {
                socket_.async_read_some(buffers, std::move(handler));
            });
    }

    /// Writes some bytes. Otherwise as `async_read_some`.
    template <class ConstBuffers, boost::asio::completion_token_for<void(error_code, std::size_t)>
                                      Token = boost::asio::deferred_t>
    auto async_write_some(const ConstBuffers& buffers, Token&& token = {})
    {
        return detail::checked_op<void(error_code, std::size_t)>(
            *this, ops_, token, [this, buffers](auto handler) {
                socket_.async_write_some(buffers, std::move(handler));
            });
    }

    /// Waits until the socket is ready. Completion signature: `void(error_code)`.
    template <boost::asio::completion_token_for<void(error_code)> Token = boost::asio::deferred_t>
    auto async_wait(boost::asio::socket_base::wait_type what, Token&& token = {})
    {
        return detail::checked_op<void(error_code)>(*this, ops_, token, [this, what](auto handler) {
            socket_.async_wait(what, std::move(handler));
        });
    }

    /// Closes the connection. Never throws. The lease that holds it will then not return it.
    void close() noexcept
    {
        error_code ignored;
        socket_.close(ignored);
    }

private:
    next_layer_type socket_;
    context_ref home_;
    std::shared_ptr<detail::op_count> ops_ = std::make_shared<detail::op_count>();
};

} // namespace loopsafe

#include <loopsafe/tcp/impl/stream.hpp>

#endif
