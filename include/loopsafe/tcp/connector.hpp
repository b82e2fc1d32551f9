// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_CONNECTOR_HPP
#define LOOPSAFE_TCP_CONNECTOR_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/detail/mute_descriptor.hpp>
#include <loopsafe/pool/connector.hpp>
#include <loopsafe/tcp/detail/parked_socket.hpp>
#include <loopsafe/tcp/detail/probe.hpp>
#include <loopsafe/tcp/error.hpp>
#include <loopsafe/tcp/stream.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace loopsafe {

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

    /// The name is resolved for each connection, on the resolver's own thread; the addresses are
    /// tried in turn.
    tcp_connector(std::string host, std::string service)
        : target_(host_and_service{std::move(host), std::move(service)})
    {
    }

    /// Errors: `tcp_error` whose `stage()` is "resolve" or "connect", with the cause in `code()`;
    /// `no_context` (as `context_error`) if `executor` names none.
    boost::asio::awaitable<tcp_stream>
    connect(boost::asio::any_io_executor executor,
            std::source_location where = std::source_location::current()) const;

    bool is_clean(const tcp_stream& stream) const noexcept { return stream.is_clean(); }

    /// False if the peer has closed the connection or sent unexpected data.
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

    /// In a forked child: later operations then affect neither the parent's connection nor its
    /// context.
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

} // namespace loopsafe

#include <loopsafe/tcp/impl/connector.hpp>

#endif
