// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_CONNECTOR_HPP
#define LOOPSAFE_TLS_CONNECTOR_HPP

#include <loopsafe/detail/mute_descriptor.hpp>
#include <loopsafe/pool/connector.hpp>
#include <loopsafe/tcp/connector.hpp>
#include <loopsafe/tls/detail/parked_tls.hpp>
#include <loopsafe/tls/error.hpp>
#include <loopsafe/tls/options.hpp>
#include <loopsafe/tls/stream.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <source_location>
#include <string>

namespace loopsafe {

/// Makes TLS connections to one server: a `loopsafe::connector`.
///
/// A bare TLS connection cannot know where its messages end, so a lease that ends with no operation
/// pending or failed, and nothing left unread, counts as clean. `discard()` one that ends in
/// mid-message. `carry_over_pool` carries only those whose last lease ended in `release()`.
/// Thread safety: safe; copies share their state, TLS sessions included.
class tls_connector {
public:
    using connection_type = tls_stream;
    using handle_type = detail::parked_tls;

    /// The server must prove that it is `host`, unless `tls_options::server_name` is another name.
    ///
    /// Errors: `tls_error` in the stage "configure", with the invalid option.
    tls_connector(std::string host, std::string service, const tls_options& options = {})
        : settings_(std::make_shared<const detail::tls_settings>(host, options)),
          tcp_(std::move(host), std::move(service))
    {
    }

    /// Connects to an address. The server must prove `tls_options::server_name`; the address if
    /// empty.
    tls_connector(boost::asio::ip::tcp::endpoint endpoint, const tls_options& options)
        : settings_(std::make_shared<const detail::tls_settings>(endpoint.address().to_string(),
                                                                 options)),
          tcp_(std::move(endpoint))
    {
    }

    /// Per-operation cancellation: terminal.
    /// Errors: those of `tcp_connector::connect`; `tls_error` in the stage "handshake".
    boost::asio::awaitable<tls_stream>
    connect(boost::asio::any_io_executor executor,
            std::source_location where = std::source_location::current()) const;

    bool is_clean(const tls_stream& stream) const noexcept { return stream.is_clean(); }

    /// False if the peer has closed the connection, sent a close_notify, or sent unexpected data.
    /// Consumes what TLS sends by itself: session tickets, new keys.
    /// Complexity: one system call for a connection to which nothing was sent.
    bool probe(tls_stream& stream) const noexcept
    {
        return stream.is_clean() && (detail::seems_alive(stream.channel_->socket.native_handle()) ||
                                     stream.channel_->engine.takes_only_housekeeping());
    }

    std::optional<handle_type> detach(tls_stream& stream) const noexcept
    {
        return handle_type::take_from(*stream.channel_);
    }

    tls_stream attach(handle_type&& handle, const boost::asio::any_io_executor& executor,
                      std::source_location where = std::source_location::current()) const
    {
        return tls_stream(handle.attach(executor), context_of(executor, where));
    }

    /// In a forked child: the parent's peer is sent nothing when the connection is closed.
    void abandon(tls_stream& stream) const noexcept
    {
        if (stream.channel_) {
            stream.channel_->engine.mute();
            if (stream.channel_->socket.is_open())
                detail::mute_descriptor(stream.channel_->socket.native_handle());
        }
    }
    void abandon(handle_type& handle) const noexcept { handle.mute(); }

private:
    std::shared_ptr<const detail::tls_settings> settings_;
    tcp_connector tcp_;
};

} // namespace loopsafe

#include <loopsafe/tls/impl/connector.hpp>

namespace loopsafe {

static_assert(connector<tls_connector>);
static_assert(can_abandon<tls_connector> && can_carry<tls_connector>);

} // namespace loopsafe

#endif
