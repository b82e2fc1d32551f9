// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_URL_HPP
#define LOOPSAFE_HTTP_URL_HPP

#include <loopsafe/http/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace loopsafe::http {

/// The part of a URL that identifies the server, and so the connections that can serve it (RFC
/// 6454). Normalised: the host in lower case, the port a number, so that equal objects mean the
/// same server.
struct origin {
    bool secure = false;    ///< https
    std::string host = {};  ///< a name, or an address without brackets
    std::uint16_t port = 0; ///< the scheme's default if the URL has none

    bool operator==(const origin&) const = default;

    /// Such as "https://example.org" or "http://[::1]:8080". The scheme's default port is left out.
    std::string to_string() const { return (secure ? "https://" : "http://") + authority(); }

    /// The value of the Host field, such as "example.org" or "[::1]:8080".
    std::string authority() const;
};

/// An absolute URL, in its two parts. The fragment is dropped.
struct url {
    http::origin origin = {};
    std::string target = "/"; ///< path and query, as in the request line

    std::string to_string() const { return origin.to_string() + target; }
};

/// Parses "http://host:port/path?query".
///
/// In path and query, a space and every byte outside ASCII are encoded (%20), and the path's dot
/// segments are resolved: "/a/../b c" becomes "/b%20c".
/// Stricter than RFC 3986 where leniency has been exploited: no user and password (use the
/// Authorization field), no zone, no percent sign in the host, no backslash in the authority, no
/// control characters.
/// Errors: `error` {`bad_url`} in the stage `prepare`, with the reason.
/// Complexity: linear.
/// Source: RFC 9110, 4.2; RFC 3986, 3.
url parse_url(std::string_view text);

} // namespace loopsafe::http

#include <loopsafe/http/impl/url.hpp>

#endif
