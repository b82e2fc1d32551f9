// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_OPTIONS_HPP
#define LOOPSAFE_HTTP_OPTIONS_HPP

#include <loopsafe/http/fields.hpp>
#include <loopsafe/http/limits.hpp>
#include <loopsafe/http/url.hpp>
#include <loopsafe/pool/close_reason.hpp>
#include <loopsafe/pool/policy.hpp>
#include <loopsafe/tls/options.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace loopsafe::http {

/// What a client tells its hook, see `single_use_client_options::on_event`.
struct event {
    enum class kind {
        resolved,   ///< the addresses of a new connection are known
        connected,  ///< a new connection is made
        secured,    ///< its TLS handshake is done
        acquired,   ///< a request has a connection
        first_byte, ///< of its response
        replayed,   ///< it is sent a second time
        returned,   ///< it has let go of its connection
        parked,     ///< `carry_over_pool`: an idle connection has left its dying context
        adopted,    ///< a parked connection is in the next context
        dropped     ///< a parked connection is closed; `reason` says why
    };

    kind what;
    const http::origin& origin;
    bool reused = false;                    ///< for `acquired`: another request came before
    std::chrono::nanoseconds idle_for = {}; ///< for `acquired`, where reused
    bool kept = false;                      ///< for `returned`: the connection can serve another
    close_reason reason = {};               ///< for `dropped`
};

/// What every client can be told. A class with a constructor, since GCC 12 destroys aggregates
/// twice when they are made in the same expression as a `co_await`.
///
/// Options are checked when the client is made: what makes no sense is refused by name
/// (`bad_option`, as `system_error`; `bad_url`, as `error`; TLS's as `tls_error`). Limits of a pool
/// have the names of the pool's options there: `max_size` is `max_per_origin`.
struct single_use_client_options {
    single_use_client_options() {}

    /// What the URLs of requests follow that are not absolute, such as "https://host/api/v1". They
    /// are appended, not resolved: "/points" becomes "https://host/api/v1/points".
    std::string base_url;

    /// Sent with every request that has no field of the same name.
    fields headers{{"User-Agent", "loopsafe"}, {"Accept", "*/*"}};

    /// Asked before each request for the field Authorization; empty for none. It runs on the
    /// context of the request, and must look at the origin before it gives a secret away.
    std::function<boost::asio::awaitable<std::string>(const origin&)> authorization;

    tls_options tls;
    http::timeouts timeouts;
    http::limits limits;

    std::size_t max_per_origin = 100; ///< connections to one server
    std::size_t max_total = no_limit; ///< requests under way, whatever their server
    std::size_t max_waiting = 1000;   ///< requests that wait for a connection, at each limit
    static constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

    /// Where not empty, all requests go through this UNIX socket, in the clear.
    std::string unix_socket;

    /// Asked before a name is looked up; no address: it is looked up. Literal addresses are not.
    std::function<std::vector<boost::asio::ip::address>(std::string_view host)> resolve;

    /// Called on the thread where it happens, with no lock held; what it throws is dropped.
    std::function<void(const event&)> on_event;
};

/// What a client that keeps connections can be told besides.
struct client_options : single_use_client_options {
    client_options() {}

    /// A connection idle for longer is closed, at the next request to its server. Servers close
    /// theirs after 5 seconds often enough; one that says when (Keep-Alive: timeout=N) is believed,
    /// less 2 seconds.
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(4);
    /// A connection older than this is closed when it would be used again.
    std::chrono::milliseconds max_lifetime = std::chrono::minutes(30);
    /// `max_lifetime` is shortened by a random share up to this. From 0 to 1.
    double lifetime_jitter = 0.1;
    /// A connection idle for longer is looked at before it is used again.
    std::chrono::milliseconds probe_after = std::chrono::seconds(1);
};

/// What a client that carries connections over to the next context can be told besides.
///
/// `idle_timeout` counts while a connection is parked as well: with its 4 seconds, a context that
/// comes later than that finds none. Raise it where the servers keep theirs longer.
struct carried_client_options : client_options {
    carried_client_options() {}

    /// Connections to one server at most that wait for a context, besides those that
    /// `max_per_origin` counts. Where one more comes, the one parked longest is closed. At least 1.
    std::size_t max_parked_per_origin = 100;
};

template <class PoolPolicy>
using client_options_for = std::conditional_t<
    carries_over<PoolPolicy>, carried_client_options,
    std::conditional_t<PoolPolicy::keeps_idle, client_options, single_use_client_options>>;

} // namespace loopsafe::http

#endif
