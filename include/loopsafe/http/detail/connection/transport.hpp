// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_TRANSPORT_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_TRANSPORT_HPP

#include <loopsafe/async/detail/wait_either.hpp>
#include <loopsafe/detail/mute_descriptor.hpp>
#include <loopsafe/http/detail/connection/plain_transport.hpp>
#include <loopsafe/tls/detail/channel.hpp>
#include <loopsafe/tls/detail/parked_tls.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace loopsafe::http::detail {

// Carries the bytes: a socket of any kind, or TLS on one.
class transport {
public:
    using socket = plain_transport::socket;
    using outgoing = plain_transport::outgoing; // one system call, or one record

    explicit transport(socket plain) : plain_(std::move(plain)) {}
    explicit transport(plain_transport plain) : plain_(std::move(plain)) {}
    transport(const asio::any_io_executor& executor,
              std::shared_ptr<loopsafe::detail::tls_channel> secure)
        : plain_(socket(executor)), secure_(std::move(secure))
    {
    }

    int native_handle() noexcept
    {
        return secure_ ? secure_->socket.native_handle() : plain_.native_handle();
    }

    // Completion signature of both: void(error_code, std::size_t).
    template <class Token>
    auto async_read_some(asio::mutable_buffer to, Token&& token)
    {
        return asio::async_initiate<Token, void(error_code, std::size_t)>(
            [](auto handler, transport* self, asio::mutable_buffer buffer) {
                if (self->secure_)
                    loopsafe::detail::tls_transfer(self->secure_, buffer, std::move(handler))();
                else
                    self->plain_.next_layer().async_read_some(asio::mutable_buffer(buffer),
                                                              std::move(handler));
            },
            token, this, to);
    }

    template <class Token>
    auto async_write_some(const outgoing& from, Token&& token)
    {
        return asio::async_initiate<Token, void(error_code, std::size_t)>(
            [](auto handler, transport* self, const outgoing& buffers) {
                if (self->secure_)
                    loopsafe::detail::tls_transfer(
                        self->secure_, loopsafe::detail::to_write(*self->secure_, buffers),
                        std::move(handler))();
                else
                    self->plain_.next_layer().async_write_some(buffers, std::move(handler));
            },
            token, this, from);
    }

    // Until there is something to read or room to write. Completion signature: void(error_code).
    template <class Token>
    auto async_wait_either(Token&& token)
    {
        return asio::async_initiate<Token, void(error_code)>(
            [](auto handler, transport* self) {
                const auto begin = [&handler](auto& on) {
                    loopsafe::detail::either_wait<std::decay_t<decltype(on)>,
                                                  decltype(handler)>::begin(on, std::move(handler));
                };
                if (self->secure_)
                    begin(self->secure_->socket);
                else
                    begin(self->plain_.next_layer());
            },
            token, this);
    }

    // Until there is something to read.
    template <class Token>
    auto async_wait_readable(Token&& token)
    {
        return asio::async_initiate<Token, void(error_code)>(
            [](auto handler, transport* self) {
                if (self->secure_)
                    self->secure_->socket.async_wait(asio::socket_base::wait_read,
                                                     std::move(handler));
                else
                    self->plain_.next_layer().async_wait(asio::socket_base::wait_read,
                                                         std::move(handler));
            },
            token, this);
    }

    // TLS may have to read before it can write.
    bool must_read() const noexcept { return secure_ && secure_->engine.must_read(); }

    // Both without waiting. False: the result is only known after a wait.
    bool try_write_some(const outgoing& from, error_code& ec, std::size_t& n)
    {
        if (secure_)
            return moved(secure_->engine, loopsafe::detail::to_write(*secure_, from), ec, n);
        return plain_.try_write_some(from, ec, n);
    }
    bool try_read_some(asio::mutable_buffer to, error_code& ec, std::size_t& n) noexcept
    {
        if (secure_)
            return moved(secure_->engine, to, ec, n);
        return plain_.try_read_some(to, ec, n);
    }

    // The bytes that the operating system has accepted, if they are not the bytes written.
    std::uint64_t encrypted_bytes_sent() const noexcept
    {
        return secure_ ? secure_->engine.bytes_sent() : 0;
    }
    bool is_secure() const noexcept { return secure_ != nullptr; }

    // What has arrived can be read although the descriptor is not ready.
    bool has_pending() const noexcept { return secure_ && secure_->engine.has_pending(); }

    // Nothing has arrived, not even the end.
    bool is_silent() noexcept
    {
        return loopsafe::detail::seems_alive(native_handle()) ||
               (secure_ && secure_->engine.is_quiet() && secure_->engine.takes_only_housekeeping());
    }

    // Nothing that arrived before is left in memory.
    bool is_drained() const noexcept { return !secure_ || secure_->engine.is_quiet(); }

    // In a forked child.
    void mute() noexcept
    {
        if (secure_)
            secure_->engine.mute();
        loopsafe::detail::mute_descriptor(native_handle());
    }

    // The transport outside of any context.
    using parked = std::variant<plain_transport::parked, loopsafe::detail::parked_tls>;

    std::optional<parked> detach() noexcept
    {
        if (secure_)
            return loopsafe::detail::parked_tls::take_from(*secure_);
        return plain_.detach();
    }

    static void mute(parked& from) noexcept
    {
        if (auto* const secure = std::get_if<loopsafe::detail::parked_tls>(&from))
            secure->mute();
    }

    static transport attach(parked& from, const asio::any_io_executor& executor)
    {
        if (auto* const secure = std::get_if<loopsafe::detail::parked_tls>(&from))
            return transport(executor, secure->attach(executor));
        return transport(
            plain_transport::attach(std::get<plain_transport::parked>(from), executor));
    }

private:
    static bool moved(loopsafe::detail::tls_engine& engine,
                      const loopsafe::detail::tls_buffer& what, error_code& ec,
                      std::size_t& n) noexcept
    {
        const auto step = what.transfer(engine);
        ec = step.ec;
        n = step.bytes;
        return step.needs == loopsafe::detail::tls_step::wait::none;
    }

    plain_transport plain_;
    std::shared_ptr<loopsafe::detail::tls_channel> secure_;
};

} // namespace loopsafe::http::detail

#endif
