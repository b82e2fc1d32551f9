// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_CONNECTOR_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_CONNECTOR_HPP

#include <loopsafe/async/detail/deadline.hpp>
#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/http/detail/connection/connection.hpp>
#include <loopsafe/http/detail/connection/tunnel.hpp>
#include <loopsafe/http/detail/tell_hook.hpp>
#include <loopsafe/pool/connector.hpp>
#include <loopsafe/tls/detail/handshake.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe::http::detail {

// Makes the connections to one origin. Each step has its own deadline. Without an origin, they are
// connections to nothing.
template <class Timer>
class connector {
public:
    using connection_type = std::unique_ptr<connection<Timer>>;
    using handle_type = typename connection<Timer>::parked;

    static constexpr bool frames_messages = true;

    struct target {
        http::origin origin;
        std::shared_ptr<const single_use_client_options> options;
        std::shared_ptr<const loopsafe::detail::tls_settings> tls; // of an https origin
        const proxy* through = nullptr;                            // a part of the options

        const std::string& host() const noexcept { return through ? through->host : origin.host; }
        std::uint16_t port() const noexcept { return through ? through->port : origin.port; }

        // For errors.
        std::string name() const
        {
            return origin.to_string() + (through ? ", proxy " + through->to_string() : "");
        }
    };

    connector() = default;
    explicit connector(target of) : of_(loopsafe::detail::share_new<const target>(std::move(of))) {}

    asio::awaitable<connection_type> connect(asio::any_io_executor executor) const
    {
        const auto of = of_;
        if (of == nullptr)
            co_return nullptr;
        const auto& o = *of->options;
        if (!o.unix_socket.empty())
            co_return co_await connect_unix(of, executor);
        steps s{of, executor};
        co_await within(s, o.timeouts.resolve, stage::resolve, find_addresses(s));
        s.tell(event::kind::resolved);
        co_await within(s, o.timeouts.connect, stage::connect, reach(s));
        error_code ignored;
        s.socket.set_option(asio::ip::tcp::no_delay(true), ignored);
        s.tell(event::kind::connected);
        if (of->through != nullptr && of->origin.secure) {
            co_await within(s, o.timeouts.tunnel, stage::tunnel, tunnel(s));
            s.tell(event::kind::tunnelled);
        }
        if (of->tls == nullptr)
            co_return std::make_unique<connection<Timer>>(
                transport(transport::socket(std::move(s.socket))), executor);
        co_await within(s, o.timeouts.tls, stage::tls, secure(s));
        s.tell(event::kind::secured);
        co_return std::make_unique<connection<Timer>>(transport(executor, std::move(s.channel)),
                                                      executor);
    }

    bool is_clean(const connection_type& c) const noexcept { return c && c->is_clean(); }
    bool probe(connection_type& c) const noexcept { return c && c->probe(); }
    void abandon(connection_type& c) const noexcept
    {
        if (c)
            c->mute();
    }

    std::optional<handle_type> detach(connection_type& c) const noexcept { return c->detach(); }
    connection_type attach(handle_type&& from, const asio::any_io_executor& executor) const
    {
        return std::make_unique<connection<Timer>>(from, executor);
    }
    void abandon(handle_type& from) const noexcept { transport::mute(from.carrier); }

private:
    struct steps {
        steps(const std::shared_ptr<const target>& t, const asio::any_io_executor& executor)
            : of(t), socket(executor)
        {
            if (of->options->on_event)
                since = Timer::clock_type::now().time_since_epoch();
        }

        void tell(event::kind what) noexcept
        {
            if (!of->options->on_event)
                return;
            const auto began = std::exchange(since, Timer::clock_type::now().time_since_epoch());
            tell_hook(*of->options, {.what = what, .origin = of->origin, .took = since - began});
        }

        const std::shared_ptr<const target> of;
        asio::ip::tcp::socket socket;
        std::vector<asio::ip::tcp::endpoint> addresses;
        std::shared_ptr<loopsafe::detail::tls_channel> channel;
        std::chrono::nanoseconds since = {};
    };

    [[noreturn]] static void fail(const target& of, stage at, const error_code& ec)
    {
        throw error(ec, {.stage = at}, of.name());
    }

    static asio::awaitable<void> within(steps& s, std::chrono::milliseconds limit, stage at,
                                        asio::awaitable<void> step)
    {
        const auto executor = s.socket.get_executor();
        const auto done =
            co_await loopsafe::detail::finish_within<Timer>(executor, limit, std::move(step));
        if (done.expired && done.error != nullptr)
            throw error(errc::timed_out, {.stage = at, .timeout = to_string(at), .allowed = limit},
                        s.of->name());
        if (done.error != nullptr)
            std::rethrow_exception(done.error);
    }

    // RFC 6761, 6.3. Plain "localhost" is left to the resolver, which knows it.
    static bool is_on_loopback(std::string_view host) noexcept
    {
        return host.ends_with(".localhost");
    }

    static asio::awaitable<void> find_addresses(steps& s)
    {
        const auto& host = s.of->host();
        const auto port = s.of->port();
        const auto& options = s.of->options;
        error_code ec;
        if (const auto literal = asio::ip::make_address(host, ec); !ec) {
            s.addresses.emplace_back(literal, port);
            co_return;
        }
        if (options->resolve) {
            for (const auto& address : options->resolve(host))
                s.addresses.emplace_back(address, port);
            if (!s.addresses.empty())
                co_return;
        }
        if (is_on_loopback(host)) {
            s.addresses.emplace_back(asio::ip::address_v4::loopback(), port);
            s.addresses.emplace_back(asio::ip::address_v6::loopback(), port);
            co_return;
        }
        const auto asked = loopsafe::detail::share_new<lookup>(s.socket.get_executor());
        const asio::any_io_executor own = co_await asio::this_coro::executor;
        asked->resolver.async_resolve(
            host, std::to_string(port),
            asio::bind_executor(own, [asked](const error_code& failed, const auto& found) {
                asked->ec = failed;
                asked->found = found;
                asked->answered.cancel();
            }));
        co_await asked->answered.async_wait(asio::as_tuple(asio::use_awaitable));
        if (asked->ec)
            fail(*s.of, stage::resolve, asked->ec);
        for (const auto& each : asked->found)
            s.addresses.push_back(each.endpoint());
    }

    // A look-up cannot be interrupted, so a caller that stops waiting abandons it.
    struct lookup {
        explicit lookup(const asio::any_io_executor& executor)
            : resolver(executor), answered(executor, Timer::time_point::max())
        {
        }

        asio::ip::tcp::resolver resolver;
        Timer answered;
        error_code ec = asio::error::operation_aborted;
        asio::ip::tcp::resolver::results_type found;
    };

    // Tries one address after the other, each with its share of the time: an unresponsive address
    // does not use up the time of the next.
    static asio::awaitable<void> reach(steps& s)
    {
        const auto limit = s.of->options->timeouts.connect;
        error_code last = asio::error::host_not_found;
        for (std::size_t i = 0; i != s.addresses.size(); ++i) {
            const bool is_last = i + 1 == s.addresses.size();
            const auto share =
                is_last || limit == never ? never : limit / static_cast<int>(s.addresses.size());
            const auto executor = s.socket.get_executor();
            const auto done = co_await loopsafe::detail::finish_within<Timer>(
                executor, share, reach_one(s, s.addresses[i], last));
            if (done.error != nullptr && !done.expired)
                std::rethrow_exception(done.error);
            if (done.error == nullptr && !last)
                co_return;
            if (last == asio::error::operation_aborted && !done.expired)
                break;
        }
        fail(*s.of, stage::connect, last);
    }

    static asio::awaitable<void> reach_one(steps& s, asio::ip::tcp::endpoint address,
                                           error_code& last)
    {
        error_code ignored;
        s.socket.close(ignored);
        const auto [ec] =
            co_await s.socket.async_connect(address, asio::as_tuple(asio::use_awaitable));
        last = ec;
    }

    static asio::awaitable<void> tunnel(steps& s)
    {
        const auto about = s.of->name();
        co_await open_tunnel(s.socket, s.of->origin, *s.of->through, s.of->options->limits, about);
    }

    static asio::awaitable<void> secure(steps& s)
    {
        try {
            s.channel = co_await loopsafe::detail::shake_hands(std::move(s.socket), s.of->tls);
        } catch (const tls_error& e) {
            const auto about =
                s.of->name() + ", " +
                loopsafe::detail::why_refused(e.code(), e.verify_result(), s.of->tls->name());
            std::throw_with_nested(error(e.code(), {.stage = stage::tls}, about));
        }
    }

    static asio::awaitable<connection_type> connect_unix(std::shared_ptr<const target> of,
                                                         asio::any_io_executor executor)
    {
        const auto began = Timer::clock_type::now();
        transport::socket socket(executor);
        const auto [ec] = co_await socket.async_connect(
            asio::local::stream_protocol::endpoint(of->options->unix_socket),
            asio::as_tuple(asio::use_awaitable));
        error_code not_connected = ec; // Asio takes a full queue (EAGAIN) for a pending connect
        if (!ec)
            socket.remote_endpoint(not_connected);
        if (not_connected)
            throw error(not_connected, {.stage = stage::connect},
                        "unix socket " + of->options->unix_socket);
        tell_hook(*of->options, {.what = event::kind::connected,
                                 .origin = of->origin,
                                 .took = Timer::clock_type::now() - began});
        co_return std::make_unique<connection<Timer>>(transport(std::move(socket)), executor);
    }

    std::shared_ptr<const target> of_;
};

} // namespace loopsafe::http::detail

#endif
