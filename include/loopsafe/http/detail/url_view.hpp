// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_URL_VIEW_HPP
#define LOOPSAFE_HTTP_DETAIL_URL_VIEW_HPP

#include <loopsafe/http/detail/percent.hpp>
#include <loopsafe/http/detail/text.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// An origin as it stands in a URL: nothing is copied, and the host is in any case.
struct origin_view {
    bool secure = false;
    std::string_view host; // without brackets
    std::uint16_t port = 0;
    bool bracketed = false;
};

struct url_view {
    std::string_view wrong; // empty: valid
    origin_view origin;
    std::string_view target; // as it stands there: see is_normal()
};

constexpr std::string_view leading(int wanted, std::string_view text) noexcept
{
    std::size_t n = 0;
    while (n != text.size() && is(wanted, text[n]))
        ++n;
    return text.substr(0, n);
}

constexpr std::string_view a_byte_to_encode = "a control character must be encoded as %XX";

inline url_view split_url(std::string_view text) noexcept
{
    url_view found;
    const auto wrong = [&found](std::string_view what) {
        found.wrong = what;
        return found;
    };
    constexpr std::string_view http = "http://";
    constexpr std::string_view https = "https://";
    auto& [secure, host, port, bracketed] = found.origin;
    secure = equal_ignoring_case(text.substr(0, https.size()), https);
    if (!secure && !equal_ignoring_case(text.substr(0, http.size()), http))
        return wrong("it must begin with http:// or https://");
    text.remove_prefix(secure ? https.size() : http.size());

    bracketed = text.starts_with('[');
    if (bracketed) {
        const auto end = text.find(']');
        if (end == std::string_view::npos)
            return wrong("a bracket is not closed");
        host = text.substr(1, end - 1);
        if (!host.empty() && host.find(':') == std::string_view::npos)
            return wrong("brackets must hold an IPv6 address without a zone");
        text.remove_prefix(end + 1);
    } else {
        host = leading(host_char, text);
        text.remove_prefix(host.size());
    }
    port = secure ? 443 : 80;
    if (text.starts_with(':')) {
        text.remove_prefix(1);
        const auto digits = leading(digit_char, text);
        text.remove_prefix(digits.size());
        const auto end = digits.data() + digits.size();
        if (!digits.empty() &&
            (std::from_chars(digits.data(), end, port).ec != std::errc() || port == 0))
            return wrong("a port must be a number from 1 to 65535");
    }
    if (!text.empty() && text.front() != '/' && text.front() != '?' && text.front() != '#') {
        if (text.substr(0, text.find_first_of("/?#")).find('@') != std::string_view::npos)
            return wrong("a user and a password belong in the Authorization field");
        return wrong("a host must consist of letters, digits, \".\", \"-\" and \"_\"; write a name "
                     "in another script in its xn-- form, an IPv6 address in brackets");
    }
    if (host.empty())
        return wrong("there is no host");
    if (host.size() > 253 || host.front() == '.')
        return wrong("the host is not a valid name");
    found.target = leading(target_char | encoded_char, text);
    if (found.target.size() != text.size() && text[found.target.size()] != '#')
        return wrong(a_byte_to_encode);
    return found;
}

// Whether a target can be sent as it stands in a URL, a "/" in front aside.
inline bool is_normal(std::string_view target, bool keep_dot_segments) noexcept
{
    return (keep_dot_segments ||
            (!target.starts_with('.') && target.find("/.") == std::string_view::npos)) &&
           all_are(target_char, target);
}

// RFC 3986, 5.2.4: `path` begins with "/".
inline std::string without_dot_segments(std::string_view path)
{
    std::string kept;
    while (!path.empty()) {
        const auto size = std::min(path.find('/', 1), path.size());
        const auto segment = path.substr(1, size - 1);
        const bool last = size == path.size();
        path.remove_prefix(size);
        if (segment == "..")
            kept.erase(std::min(kept.rfind('/'), kept.size()));
        if (segment != "." && segment != "..")
            kept.append("/").append(segment);
        else if (last)
            kept += '/';
    }
    return kept;
}

// As it is sent: with a "/" in front, what must be encoded is, and dot segments are resolved.
inline std::string normal_target(std::string_view target, bool keep_dot_segments)
{
    std::string text = target.starts_with('/') ? "" : "/";
    for (const char c : target) {
        if (is(encoded_char, c))
            append_percent(text, c);
        else
            text += c;
    }
    if (keep_dot_segments)
        return text;
    const auto query = std::min(text.find('?'), text.size());
    return without_dot_segments(std::string_view(text).substr(0, query)) + text.substr(query);
}

inline std::size_t hash_of(const origin_view& o) noexcept
{
    std::uint64_t hash = 0xcbf2'9ce4'8422'2325u + o.port * 2u + (o.secure ? 1u : 0u);
    for (const char c : o.host)
        hash = (hash ^ static_cast<unsigned char>(lower(c))) * 0x100'0000'01b3u;
    return static_cast<std::size_t>(hash);
}

} // namespace loopsafe::http::detail

#endif
