// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_URL_HPP
#define LOOPSAFE_HTTP_URL_HPP

#include <loopsafe/http/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace loopsafe::http {

/// Who is asked: the part of a URL that says which server, and which connections can serve it
/// (RFC 6454). Normalised: the host in lower case, the port a number, so that equal means the same.
struct origin {
    bool secure = false;    ///< https
    std::string host = {};  ///< a name, or an address without brackets
    std::uint16_t port = 0; ///< the scheme's own where the URL has none

    bool operator==(const origin&) const = default;

    /// Such as "https://example.org" or "http://[::1]:8080": the port where it is not the scheme's.
    std::string to_string() const { return (secure ? "https://" : "http://") + authority(); }

    /// What a request says in its Host field, such as "example.org" or "[::1]:8080".
    std::string authority() const;
};

/// An absolute URL, in its two parts. The fragment is dropped.
struct url {
    http::origin origin = {};
    std::string target = "/"; ///< path and query, as the request line has them

    std::string to_string() const { return origin.to_string() + target; }
};

/// Takes "http://host:port/path?query" apart.
///
/// Stricter than RFC 3986 where leniency has been used to confuse: no user and password (they
/// belong into a field), no zone, no percent in the host, no bytes outside ASCII (encode them
/// first), no backslash in the authority, no whitespace.
/// Errors: `error` {`bad_url`} in the stage `prepare`, saying what is wrong.
/// Complexity: linear.
/// Source: RFC 9110, 4.2; RFC 3986, 3.
url parse_url(std::string_view text);

} // namespace loopsafe::http

#include <loopsafe/http/impl/url.hpp>

#endif
