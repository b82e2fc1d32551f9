// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_CONNECTOR_HPP
#define LOOPSAFE_TCP_CONNECTOR_HPP

#include <loopsafe/pool/connector.hpp>
#include <loopsafe/detail/mute_descriptor.hpp>
#include <loopsafe/tcp/detail/parked_socket.hpp>
#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/tcp/detail/stream_op.hpp>
#include <loopsafe/tcp/detail/probe.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace loopsafe {

/// A TCP connection that refuses to work for another context than its own.
///
/// Every operation first compares the context that asks, that of the handler's associated executor,
/// with its home; a handler without one counts as home. So a connection that was carried to another
/// context answers `wrong_context`, or `context_closed`, before a byte is sent or read.
///
/// Meets Asio's AsyncReadStream and AsyncWriteStream, so `asio::async_read`, `async_write` and
/// Beast take it as they take a socket. Thread safety: distinct objects safe, shared objects
/// unsafe.
class tcp_stream {
public:
    using next_layer_type = boost::asio::ip::tcp::socket;
    using lowest_layer_type = next_layer_type::lowest_layer_type;
    using executor_type = next_layer_type::executor_type;

    /// Takes a connected socket. Its context becomes the home.
    ///
    /// Errors: `no_context` (as `context_error`) where the socket's executor names none.
    explicit tcp_stream(next_layer_type socket,
                        std::source_location where = std::source_location::current());

    /// Preconditions: no operation is pending on `other`.
    tcp_stream(tcp_stream&& other) noexcept = default;
    tcp_stream& operator=(tcp_stream&& other) noexcept = default;

    executor_type get_executor() noexcept { return socket_.get_executor(); }
    const context_ref& home() const noexcept { return home_; }

    /// The socket itself; what is done with it directly is neither checked nor counted.
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

    /// Writes some bytes. As `async_read_some`.
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

    /// Closes the connection. Never throws. The lease that holds it will then not give it back.
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

/// Makes TCP connections to one endpoint, or to a host and a service by name.
///
/// A bare TCP connection cannot know where its messages end, so a lease that ends with no operation
/// pending or failed counts as clean. `discard()` one that ends in mid-message. `carry_over_pool`
/// carries only those whose last lease ended in `release()`.
/// Thread safety: safe.
class tcp_connector {
public:
    using connection_type = tcp_stream;
    using handle_type = detail::parked_socket<tcp_stream::next_layer_type>;

    explicit tcp_connector(boost::asio::ip::tcp::endpoint endpoint) : target_(std::move(endpoint))
    {
    }

    /// The name is resolved anew for each connection, on the resolver's own thread; its addresses
    /// are tried in turn.
    tcp_connector(std::string host, std::string service)
        : target_(host_and_service{std::move(host), std::move(service)})
    {
    }

    /// Errors: `tcp_error` whose `stage()` is "resolve" or "connect", with the cause in `code()`;
    /// `no_context` (as `context_error`) where `executor` names none.
    boost::asio::awaitable<tcp_stream>
    connect(boost::asio::any_io_executor executor,
            std::source_location where = std::source_location::current()) const;

    bool is_clean(const tcp_stream& stream) const noexcept { return stream.is_clean(); }

    /// False when the peer has closed the connection or sent what nobody asked for.
    bool probe(tcp_stream& stream) const noexcept
    {
        return detail::seems_alive(stream.next_layer().native_handle());
    }

    std::optional<handle_type> detach(tcp_stream& stream) const noexcept
    {
        return handle_type::take_from(stream.next_layer());
    }

    tcp_stream attach(handle_type&& handle, const boost::asio::any_io_executor& executor,
                      std::source_location where = std::source_location::current()) const
    {
        tcp_stream::next_layer_type socket(executor);
        handle.give_to(socket);
        return tcp_stream(std::move(socket), where);
    }

    /// In a forked child: what follows concerns neither the parent's connection nor its context.
    void abandon(tcp_stream& stream) const noexcept
    {
        if (stream.next_layer().is_open())
            detail::mute_descriptor(stream.next_layer().native_handle());
    }
    void abandon(handle_type&) const noexcept {}

private:
    struct host_and_service {
        std::string host;
        std::string service;
    };
    std::variant<boost::asio::ip::tcp::endpoint, host_and_service> target_;
};

/// Thrown when a TCP connection cannot be made.
class tcp_error : public boost::system::system_error {
public:
    tcp_error(error_code code, const char* stage, const std::string& target)
        : system_error(code, std::string("tcp ") + stage + ' ' + target), stage_(stage)
    {
    }

    /// "resolve" or "connect".
    const char* stage() const noexcept { return stage_; }

private:
    const char* stage_;
};

} // namespace loopsafe

#include <loopsafe/tcp/impl/connector.hpp>

#endif
