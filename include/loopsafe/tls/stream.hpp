// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_STREAM_HPP
#define LOOPSAFE_TLS_STREAM_HPP

#include <loopsafe/context/ref.hpp>
#include <loopsafe/tls/detail/channel.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

namespace loopsafe {

/// A TLS connection that refuses to work on any context but its own.
///
/// A `tls_connector` makes it, with its handshake done. Like `tcp_stream`, it compares the caller's
/// context with its home before every operation, and meets Asio's AsyncReadStream and
/// AsyncWriteStream. Unlike Asio's `ssl::stream`, it may be moved and destroyed while an operation
/// is pending: that one then ends with `operation_aborted`. Like a socket, it must not outlive its
/// context, unless a lease holds it.
///
/// At most one read and one write at the same time. Thread safety: distinct objects safe, shared
/// objects unsafe.
class tls_stream {
public:
    using lowest_layer_type = boost::asio::ip::tcp::socket::lowest_layer_type;
    using executor_type = boost::asio::ip::tcp::socket::executor_type;

    tls_stream(tls_stream&& other) noexcept = default;
    tls_stream& operator=(tls_stream&& other) noexcept
    {
        close();
        channel_ = std::move(other.channel_);
        ops_ = std::move(other.ops_);
        home_ = std::move(other.home_);
        return *this;
    }
    ~tls_stream() { close(); }

    /// Preconditions: the stream has not been moved from, as for every member but `close()`.
    executor_type get_executor() noexcept { return channel_->socket.get_executor(); }
    const context_ref& home() const noexcept { return home_; }

    /// The socket, for its options and addresses. Data read or written there directly bypasses TLS.
    lowest_layer_type& lowest_layer() noexcept { return channel_->socket.lowest_layer(); }

    /// Whether it is between messages as far as TLS can tell: every operation begun has completed
    /// without error, no data is left unread, and neither side has sent a close_notify.
    bool is_clean() const noexcept
    {
        return channel_ && channel_->socket.is_open() && channel_->ops.clean() &&
               channel_->engine.is_quiet();
    }

    /// Reads some bytes.
    ///
    /// Completion signature: `void(error_code, std::size_t)`.
    /// Errors: `eof` if the peer has sent a close_notify,
    /// `boost::asio::ssl::error::stream_truncated` if it closed the connection without one;
    /// `wrong_context`, `context_closed`; those of OpenSSL and the socket.
    /// Per-operation cancellation: terminal, as the socket's. After any error but `wrong_context`
    /// the stream can only be closed.
    template <class MutableBuffers, boost::asio::completion_token_for<void(error_code, std::size_t)>
                                        Token = boost::asio::deferred_t>
    auto async_read_some(const MutableBuffers& buffers, Token&& token = {})
    {
        return transfer(token,
                        [buffers](detail::tls_channel&) { return detail::to_read(buffers); });
    }

    /// Writes some bytes, at most one record; small buffers are combined. Otherwise as
    /// `async_read_some`.
    template <class ConstBuffers, boost::asio::completion_token_for<void(error_code, std::size_t)>
                                      Token = boost::asio::deferred_t>
    auto async_write_some(const ConstBuffers& buffers, Token&& token = {})
    {
        return transfer(token, [buffers](detail::tls_channel& channel) {
            return detail::to_write(channel, buffers);
        });
    }

    /// Sends a close_notify, waits for the peer's, for at most `limit`, and closes. True if the
    /// peer's arrived: then the peer had nothing more to send.
    ///
    /// Data that the peer still sends is not read. Context: the home.
    boost::asio::awaitable<bool> shut_down(std::chrono::milliseconds limit);

    /// Sends a close_notify without waiting, and closes. Never throws.
    void close() noexcept
    {
        if (channel_)
            channel_->close();
    }

    /// The protocol negotiated by ALPN, or empty. It refers to the stream.
    std::string_view alpn() const noexcept
    {
        const unsigned char* name = nullptr;
        unsigned size = 0;
        SSL_get0_alpn_selected(native_handle(), &name, &size);
        return {reinterpret_cast<const char*>(name), size};
    }

    /// Whether it resumed the session of an earlier connection.
    bool resumed() const noexcept { return SSL_session_reused(native_handle()) == 1; }

    /// Such as "TLSv1.3".
    std::string_view version() const noexcept { return SSL_get_version(native_handle()); }

    /// For other uses, such as the peer's certificate. The stream keeps ownership.
    SSL* native_handle() const noexcept { return channel_->engine.handle(); }

private:
    friend class tls_connector;

    tls_stream(std::shared_ptr<detail::tls_channel> channel, context_ref home) noexcept
        : channel_(std::move(channel)), ops_(channel_, &channel_->ops), home_(std::move(home))
    {
    }

    template <class Token, class Choose>
    auto transfer(Token& token, Choose choose)
    {
        return detail::checked_op<void(error_code, std::size_t)>(
            *this, ops_, token, [this, choose](auto handler) {
                detail::tls_transfer(channel_, choose(*channel_), std::move(handler))();
            });
    }

    static boost::asio::awaitable<void> say_goodbye(std::shared_ptr<detail::tls_channel> channel);

    std::shared_ptr<detail::tls_channel> channel_;
    std::shared_ptr<detail::op_count> ops_;
    context_ref home_;
};

} // namespace loopsafe

#include <loopsafe/tls/impl/stream.hpp>

#endif
