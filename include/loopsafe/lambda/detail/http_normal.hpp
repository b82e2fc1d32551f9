// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_HTTP_NORMAL_HPP
#define LOOPSAFE_LAMBDA_DETAIL_HTTP_NORMAL_HPP

#include <loopsafe/detail/utf8.hpp>
#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/lambda/function_error.hpp>
#include <loopsafe/lambda/http_message.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

// What makes requests and answers the same on both ways.
namespace loopsafe::lambda::detail {

// Of the connection (RFC 9110, 7.6.1; RFC 9112, 9.6), and not of the message. Precondition: lower
// case.
inline bool belongs_to_connection(std::string_view name) noexcept
{
    static constexpr std::array<std::string_view, 8> all = {
        "connection", "expect",  "keep-alive", "proxy-connection",
        "te",         "trailer", "upgrade",    "transfer-encoding"};
    return std::find(all.begin(), all.end(), name) != all.end();
}

inline std::string lower_case(std::string_view text)
{
    std::string lower(text);
    for (char& c : lower)
        c = http::detail::lower(c);
    return lower;
}

inline void add_joined(http::fields& to, std::string_view name, std::string_view value,
                       std::string_view separator)
{
    if (const auto before = to.find(name))
        to.set(name, std::string(*before) + std::string(separator) + std::string(value));
    else
        to.add(name, value);
}

inline void split_cookies(std::string_view field, std::vector<std::string>& to)
{
    while (!field.empty()) {
        const auto end = std::min(field.find(';'), field.size());
        const auto cookie = http::detail::trimmed(field.substr(0, end));
        if (!cookie.empty())
            to.emplace_back(cookie);
        field.remove_prefix(std::min(end + 1, field.size()));
    }
}

// Adds a field of a request. Errors: as `http::fields::add()`.
inline void add_request_field(http_request& to, std::string_view name, std::string_view value)
{
    const auto lower = lower_case(name);
    if (lower == "cookie")
        split_cookies(value, to.cookies);
    else if (!belongs_to_connection(lower))
        add_joined(to.headers, lower, value, ",");
}

// With %XX for what a request target cannot have there.
inline std::string encoded(std::string_view text, bool in_path)
{
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (http::detail::is(http::detail::target_char, c) && !(in_path && c == '?')) {
            out += c;
        } else {
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
    return out;
}

// An answer as it is sent.
struct framed_response {
    int status = 0;
    http::fields headers;
    std::vector<std::string> cookies;
    bool has_body = false;
    bool is_text = false; // UTF-8
};

// Errors: `marshal_error`.
inline framed_response frame(const http_response& answer)
{
    if (answer.status < 200 || answer.status > 599)
        throw marshal_error("the answer has the status " + std::to_string(answer.status) +
                            ", which is not one of 200 to 599");
    framed_response framed;
    framed.status = answer.status;
    framed.cookies = answer.cookies;
    for (const auto [name, value] : answer.headers) {
        const auto lower = lower_case(name);
        if (lower == "set-cookie")
            framed.cookies.emplace_back(value);
        else if (lower != "content-length" && !belongs_to_connection(lower))
            add_joined(framed.headers, lower, value, ", ");
    }
    for (const auto& each : framed.cookies)
        if (!http::detail::all_are(http::detail::field_char, each))
            throw marshal_error("a cookie of the answer has a character that would end its line, "
                                "or that no field may have");
    framed.has_body = !answer.body.empty() && answer.status != 204 && answer.status != 304;
    if (!framed.has_body)
        return framed;
    framed.is_text = !loopsafe::detail::not_utf8_at(answer.body);
    if (!framed.headers.contains("content-type"))
        framed.headers.add("content-type", framed.is_text ? "text/plain; charset=utf-8"
                                                          : "application/octet-stream");
    return framed;
}

} // namespace loopsafe::lambda::detail

#endif
