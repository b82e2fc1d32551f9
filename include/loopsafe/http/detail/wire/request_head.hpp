// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_WIRE_REQUEST_HEAD_HPP
#define LOOPSAFE_HTTP_DETAIL_WIRE_REQUEST_HEAD_HPP

#include <loopsafe/http/detail/client_settings.hpp>
#include <loopsafe/http/request.hpp>

#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

inline bool is_idempotent(std::string_view method) noexcept
{
    for (const std::string_view one : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
        if (method == one)
            return true;
    }
    return false;
}

// Of the fields that are written here only, the one whose name has this size; empty if there is
// none.
constexpr std::string_view own_field_like(std::string_view name) noexcept
{
    switch (name.size()) {
    case 2: return "te";
    case 7: return "upgrade";
    case 10: return lower(name[0]) == 'k' ? "keep-alive" : "connection";
    case 14: return "content-length";
    case 17: return "transfer-encoding";
    case 19: return "proxy-authorization";
    default: return {};
    }
}

// Fields that determine where a message ends, or whether the connection does, are written here
// only: two differing values are how requests are smuggled. So is the one that is for a proxy:
// anywhere else it would tell a server the proxy's password.
inline void check_fields(const fields& headers)
{
    for (const auto& each : headers) {
        const auto name = own_field_like(each.name);
        if (!name.empty() && equal_ignoring_case(name, each.name))
            refuse(errc::framing_field, "field " + std::string(name));
    }
}

// A field after the body is too late to determine the recipient or the end (RFC 9110, 6.5.1).
inline void check_trailers(const fields& trailers)
{
    check_fields(trailers);
    for (const std::string_view name : {"host", "authorization", "trailer"}) {
        if (trailers.contains(name))
            refuse(errc::framing_field, "trailer field " + std::string(name));
    }
}

inline void check_authorization(std::string_view given)
{
    if (!all_are(field_char, given))
        refuse(errc::bad_field_value, "authorization: " + where_wrong(given));
}

inline void check_request(const request& r)
{
    const std::string_view method = r.method;
    if (!is_token(method))
        refuse(errc::bad_method, "method " + printable(method));
    if (method == "CONNECT")
        refuse(errc::bad_method, "method CONNECT: tunnels through a proxy are not supported");
    if (r.headers.empty())
        return;
    check_fields(r.headers);
    if (r.headers.count("host") > 1)
        refuse(errc::framing_field, "field Host twice (RFC 9112, 3.2)");
}

inline void write_number(std::string& out, std::uint64_t n, int base = 10)
{
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), n, base).ptr;
    out.append(digits.data(), end);
}

// With one growth for all of them.
template <class... Parts>
void append_all(std::string& out, const Parts&... parts)
{
    auto at = out.size();
    out.resize(at + (parts.size() + ...));
    ((std::char_traits<char>::copy(out.data() + at, parts.data(), parts.size()),
      at += parts.size()),
     ...);
}

inline void write_field(std::string& out, std::string_view name, std::string_view value)
{
    using namespace std::string_view_literals;
    append_all(out, name, ": "sv, value, "\r\n"sv);
}

// Everything up to the body. Preconditions: the request was checked; so was the target.
inline void write_head(std::string& out, const request& r, const client_settings& own,
                       std::string_view host_field, std::string_view prefix,
                       std::string_view target, std::string_view authorization, bool foreign)
{
    using namespace std::string_view_literals;
    const std::string_view method = r.method;
    const auto slash = target.starts_with('/') ? ""sv : "/"sv;
    append_all(out, method, " "sv, prefix, slash, target, " HTTP/1.1\r\n"sv);
    if (r.headers.empty()) {
        append_all(out, host_field, foreign ? own.foreign_fields : own.own_fields);
    } else {
        if (!r.headers.contains("host"))
            out.append(host_field);
        for (const auto& each : r.headers)
            write_field(out, each.name, each.value);
        for (const auto& each : foreign ? own.foreign_headers : own.options->headers) {
            if (!r.headers.contains(each.name))
                write_field(out, each.name, each.value);
        }
    }
    if (!authorization.empty())
        write_field(out, "Authorization", authorization);
    if (own.closes)
        out.append("Connection: close\r\n"sv);
    if (const auto length = r.body.length(); !length) {
        out.append("Transfer-Encoding: chunked\r\n"sv);
    } else if (r.body.present() || method == "POST" || method == "PUT" || method == "PATCH") {
        out.append("Content-Length: "sv);
        write_number(out, *length);
        out.append("\r\n"sv);
    }
    out.append("\r\n"sv);
}

} // namespace loopsafe::http::detail

#endif
