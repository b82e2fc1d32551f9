// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_REQUEST_HEAD_HPP
#define LOOPSAFE_HTTP_DETAIL_REQUEST_HEAD_HPP

#include <loopsafe/http/options.hpp>
#include <loopsafe/http/request.hpp>

#include <array>
#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// What is the same for all requests of a client.
struct client_settings {
    std::shared_ptr<const single_use_client_options> options;
    std::optional<url> base;
    std::string target_prefix; // of the base, without its last "/"
    bool closes = false;       // one request for each connection
};

inline bool is_idempotent(std::string_view method) noexcept
{
    for (const std::string_view one : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
        if (method == one)
            return true;
    }
    return false;
}

// Fields that say where a message ends, or whether the connection does, are written here only: two
// opinions on that are how requests are smuggled.
inline void check_request(const request& r)
{
    if (!is_token(r.method))
        refuse(errc::bad_method, "method " + printable(r.method));
    if (r.method == "CONNECT")
        refuse(errc::bad_method, "method CONNECT: it asks a proxy for a tunnel, which is not done "
                                 "here");
    for (const std::string_view name :
         {"content-length", "transfer-encoding", "connection", "keep-alive", "te", "upgrade"}) {
        if (r.headers.contains(name))
            refuse(errc::framing_field, "field " + std::string(name));
    }
}

inline void write_number(std::string& out, std::uint64_t n, int base = 10)
{
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), n, base).ptr;
    out.append(digits.data(), end);
}

inline void write_field(std::string& out, std::string_view name, std::string_view value)
{
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
}

// Everything up to the body. Preconditions: the request was checked; so was the target.
inline void write_head(std::string& out, const request& r, const client_settings& own,
                       std::string_view authority, std::string_view prefix, std::string_view target,
                       std::string_view authorization)
{
    out.append(r.method);
    out += ' ';
    out.append(prefix);
    if (!target.starts_with('/'))
        out += '/';
    out.append(target);
    out.append(" HTTP/1.1\r\n");
    if (!r.headers.contains("host"))
        write_field(out, "Host", authority);
    for (const auto& each : r.headers)
        write_field(out, each.name, each.value);
    for (const auto& each : own.options->headers) {
        if (!r.headers.contains(each.name))
            write_field(out, each.name, each.value);
    }
    if (!authorization.empty())
        write_field(out, "Authorization", authorization);
    if (own.closes)
        write_field(out, "Connection", "close");
    if (const auto length = r.body.length(); !length) {
        write_field(out, "Transfer-Encoding", "chunked");
    } else if (r.body.present() || r.method == "POST" || r.method == "PUT" || r.method == "PATCH") {
        out.append("Content-Length: ");
        write_number(out, *length);
        out.append("\r\n");
    }
    out.append("\r\n");
}

} // namespace loopsafe::http::detail

#endif
