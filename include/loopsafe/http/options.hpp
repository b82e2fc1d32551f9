// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_OPTIONS_HPP
#define LOOPSAFE_HTTP_OPTIONS_HPP

#include <loopsafe/http/fields.hpp>
#include <loopsafe/http/limits.hpp>
#include <loopsafe/http/proxies.hpp>
#include <loopsafe/http/url.hpp>
#include <loopsafe/pool/close_reason.hpp>
#include <loopsafe/pool/policy.hpp>
#include <loopsafe/tls/options.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace loopsafe::http {

/// The argument of a client's hook; see `single_use_client_options::on_event`.
struct event {
    enum class kind {
        resolved,   ///< the addresses for a new connection are known
        connected,  ///< a new connection is made
        secured,    ///< its TLS handshake is done
        acquired,   ///< a request has a connection
        first_byte, ///< the first byte of the response has arrived
        replayed,   ///< the request is sent a second time
        returned,   ///< the request has released its connection
        parked,     ///< `carry_over_pool`: an idle connection has left its dying context
        adopted,    ///< a parked connection is in the next context
        dropped,    ///< a parked connection is closed; see `reason`
        tunnelled   ///< after `connected`: the proxy has connected to the server
    };

    kind what;
    const http::origin& origin;
    bool reused = false;                    ///< for `acquired`: it served another request before
    std::chrono::nanoseconds idle_for = {}; ///< for `acquired`, if reused
    bool kept = false;                      ///< for `returned`: the connection can be reused
    close_reason reason = {};               ///< for `dropped`

    /// Which of the client's requests, from 1; 0 for what belongs to a connection alone.
    std::uint64_t request = 0;

    /// For `returned`: of the response; 0 if there is none.
    int status = 0;

    /// For `resolved`, `connected`, `tunnelled` and `secured`: this step. For `acquired`: since the
    /// request began, or was `replayed`. For `first_byte`, `replayed` and `returned`: since
    /// `acquired`.
    std::chrono::nanoseconds took = {};
};

/// Its name, as above, for logs and metrics.
constexpr std::string_view to_string(event::kind what) noexcept
{
    switch (what) {
    case event::kind::resolved: return "resolved";
    case event::kind::connected: return "connected";
    case event::kind::secured: return "secured";
    case event::kind::acquired: return "acquired";
    case event::kind::first_byte: return "first_byte";
    case event::kind::replayed: return "replayed";
    case event::kind::returned: return "returned";
    case event::kind::parked: return "parked";
    case event::kind::adopted: return "adopted";
    case event::kind::dropped: return "dropped";
    case event::kind::tunnelled: return "tunnelled";
    }
    return "unknown";
}

/// Options of every client. A class with a constructor, since GCC 12 destroys aggregates twice if
/// they are made in the same expression as a `co_await`.
///
/// Options are checked when the client is made; an invalid one is rejected by name (`bad_option`,
/// as `system_error`; `bad_url`, as `error`; those of TLS as `tls_error`). Limits of a pool have
/// the names of the pool's options in these errors: `max_size` is `max_per_origin`.
struct single_use_client_options {
    single_use_client_options() {}

    /// Prefix for request URLs that are not absolute, such as "https://host/api/v1". They are
    /// appended, not resolved: "/points" becomes "https://host/api/v1/points".
    std::string base_url;

    /// Sends "/a/../b" as it is, instead of "/b" (RFC 3986, 5.2.4).
    bool keep_dot_segments = false;

    /// Sent with every request that has no field of the same name.
    fields headers{{"User-Agent", "loopsafe"}, {"Accept", "*/*"}};

    /// Called before each request to get the Authorization field; an empty result sends none. It
    /// runs on the context of the request. Check the origin before you return a secret.
    std::function<boost::asio::awaitable<std::string>(const origin&)> authorization;

    tls_options tls;
    http::timeouts timeouts;
    http::limits limits;

    std::size_t max_per_origin = 100; ///< connections to one server
    std::size_t max_total = no_limit; ///< requests in progress, to all servers
    std::size_t max_waiting = 1000;   ///< requests that wait for a connection, at each limit
    static constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

    /// If not empty, all requests go through this UNIX socket, unencrypted. Excludes `proxies`.
    std::string unix_socket;

    /// The proxies that lead to the servers. The environment is only read where it is asked for:
    ///
    ///     options.proxies = http::proxies::from_environment();
    ///
    /// * https: the proxy is asked for a connection to the server (CONNECT), and TLS is spoken with
    ///   the server, through it. A proxy that does not connect is an error (`proxy_refused`).
    /// * http: the proxy is asked for the whole URL. It reads and may change everything, and its
    ///   own responses, such as 407, are the result. A request must not have a field Host: the
    ///   proxy would put the URL's in its place (`framing_field`).
    ///
    /// Only the proxy gets its user and password. As before, each origin has its own connections,
    /// and `max_per_origin` counts for each. The names of servers are looked up by the proxy;
    /// `resolve` is called for the proxy's.
    http::proxies proxies;

    /// Called before a name is looked up; if it returns no address, the name is looked up. It is
    /// not called for literal addresses.
    std::function<std::vector<boost::asio::ip::address>(std::string_view host)> resolve;

    /// Called on the thread where the event happens, with no lock held; its exceptions are ignored.
    std::function<void(const event&)> on_event;
};

/// Additional options of a client that keeps connections.
struct client_options : single_use_client_options {
    client_options() {}

    /// A connection that has been idle for longer is closed at the next request to its server. Many
    /// servers close theirs after 5 seconds; if a server announces a time (Keep-Alive: timeout=N),
    /// that time less 2 seconds is used instead.
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(4);
    /// A connection older than this is closed instead of being reused.
    std::chrono::milliseconds max_lifetime = std::chrono::minutes(30);
    /// `max_lifetime` is shortened by a random fraction of up to this. From 0 to 1.
    double lifetime_jitter = 0.1;
    /// A connection that has been idle for longer is also checked against the time that its server
    /// has announced. Whether something has arrived on it, or its end, is looked at before each
    /// use.
    std::chrono::milliseconds probe_after = std::chrono::seconds(1);
};

/// Additional options of a client that carries connections over to the next context.
///
/// `idle_timeout` also counts while a connection is parked: with the default of 4 seconds, a
/// context that comes later finds none. Raise it if the servers keep their connections longer.
struct carried_client_options : client_options {
    carried_client_options() {}

    /// Maximum number of parked connections to one server, in addition to those that
    /// `max_per_origin` counts. When one more arrives, the one parked longest is closed. At least
    /// 1.
    std::size_t max_parked_per_origin = 100;
};

template <class PoolPolicy>
using client_options_for = std::conditional_t<
    carries_over<PoolPolicy>, carried_client_options,
    std::conditional_t<PoolPolicy::keeps_idle, client_options, single_use_client_options>>;

} // namespace loopsafe::http

#endif
