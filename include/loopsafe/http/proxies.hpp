// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_PROXIES_HPP
#define LOOPSAFE_HTTP_PROXIES_HPP

#include <loopsafe/http/url.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace loopsafe::http {

/// An HTTP proxy. It is spoken to in the clear.
struct proxy {
    std::string host = {};          ///< a name, or an address without brackets
    std::uint16_t port = 0;         ///< 80 if its URL has none
    std::string authorization = {}; ///< the value of Proxy-Authorization, a secret; may be empty

    /// Such as "proxy.internal:3128" or "[::1]:3128", without user and password.
    std::string to_string() const;
};

/// Which proxy leads to which origin; see `single_use_client_options::proxies`.
///
///     options.proxies = http::proxies::all("http://user:password@proxy.internal:3128");
///     options.proxies.except("localhost, .internal, 10.0.0.0/8");
///
/// A URL of a proxy is "http://user:password@host:port"; scheme, user with password, and port may
/// be left out. In user and password, what would end them is written as %XX. The user and the
/// password are sent to the proxy without being asked for (RFC 7617), and to nobody else.
///
/// Errors: `error` {`bad_url`} in the stage `prepare`, also for proxies that are spoken to in TLS
/// (https) and for SOCKS, which are not supported. Nothing of the URL is in its text.
/// Thread safety: as a container.
class proxies {
public:
    /// Reads a variable; empty if it is not set.
    using environment = std::function<std::optional<std::string>(const char* name)>;

    /// None: all origins are reached directly.
    proxies() = default;

    /// One proxy for all origins.
    static proxies all(std::string_view url);

    /// As the environment says:
    ///
    /// * http origins: http_proxy, else all_proxy, else ALL_PROXY;
    /// * https origins: https_proxy, else HTTPS_PROXY, else all_proxy, else ALL_PROXY;
    /// * `except()`: no_proxy, else NO_PROXY.
    ///
    /// A variable that is empty counts as not set. HTTP_PROXY is not read: in a CGI program it is
    /// the field Proxy of whoever sends the request.
    /// Errors: as above, with the name of the variable; those that are not needed are not parsed.
    /// Preconditions: no other thread changes the environment meanwhile, as for std::getenv().
    static proxies from_environment();
    static proxies from_environment(const environment& read);

    /// The proxy for http origins, or for https origins, instead of an earlier one.
    proxies& for_http(std::string_view url);
    proxies& for_https(std::string_view url);

    /// Origins that are reached directly, instead of those of an earlier call: a list, separated by
    /// commas or spaces, of
    ///
    /// * names: "example.org" is that host and all below it, as are ".example.org" and
    ///   "*.example.org";
    /// * addresses, "10.0.0.1" or "::1", and networks, "10.0.0.0/8" or "fd00::/8": for hosts that
    ///   are written as an address. Names are not looked up;
    /// * either with a port, "example.org:8080" or "[::1]:8080": on that port only;
    /// * "*", all origins.
    ///
    /// The case does not matter, nor does one dot at the end of a name. What is none of these
    /// stands for no origin.
    proxies& except(std::string_view list);

    /// No origin has a proxy.
    bool empty() const noexcept { return !http_ && !https_; }

    /// The proxy for this origin; null if it is reached directly. Complexity: linear in the list.
    const proxy* find(const origin& of) const noexcept;

private:
    std::optional<proxy> http_;
    std::optional<proxy> https_;
    std::string except_;
};

} // namespace loopsafe::http

#include <loopsafe/http/impl/proxies.hpp>

#endif
