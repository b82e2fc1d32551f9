// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_URL_VIEW_HPP
#define LOOPSAFE_HTTP_DETAIL_URL_VIEW_HPP

#include <loopsafe/http/detail/text.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace loopsafe::http::detail {

// An origin as it stands in a URL: nothing is copied, and the host is in whatever case.
struct origin_view {
    bool secure = false;
    std::string_view host; // without brackets
    std::uint16_t port = 0;
    bool bracketed = false;
};

struct url_view {
    const char* wrong = nullptr; // null: all is well
    origin_view origin;
    std::string_view target; // may lack its leading "/", and be empty
};

inline url_view split_url(std::string_view text) noexcept
{
    url_view found;
    const auto wrong = [&found](const char* what) {
        found.wrong = what;
        return found;
    };
    const auto scheme = text.substr(0, text.find("://"));
    found.origin.secure = equal_ignoring_case(scheme, "https");
    if (scheme.size() == text.size() ||
        !(found.origin.secure || equal_ignoring_case(scheme, "http")))
        return wrong("it must begin with http:// or https://");
    text.remove_prefix(scheme.size() + 3);
    const auto authority = text.substr(0, text.find_first_of("/?#"));
    text.remove_prefix(authority.size());
    text = text.substr(0, text.find('#'));
    if (!all_are(target_char, text))
        return wrong("a space, a control character or a byte outside ASCII must be encoded as %XX");
    found.target = text;

    if (authority.find('@') != std::string_view::npos)
        return wrong("a user and a password belong into the field Authorization");
    auto after_host = authority;
    if (authority.starts_with('[')) {
        const auto end = authority.find(']');
        if (end == std::string_view::npos)
            return wrong("a bracket is not closed");
        found.origin.bracketed = true;
        found.origin.host = authority.substr(1, end - 1);
        after_host.remove_prefix(end + 1);
        if (!after_host.empty() && after_host.front() != ':')
            return wrong("only a port may follow the address");
    } else {
        found.origin.host = authority.substr(0, authority.find(':'));
        after_host.remove_prefix(found.origin.host.size());
        if (!all_are(host_char, found.origin.host))
            return wrong("a host is written in letters, digits, \".\", \"-\" and \"_\"; a name in "
                         "another script in its xn-- form, an IPv6 address in brackets");
    }
    if (found.origin.host.empty())
        return wrong("there is no host");
    if (found.origin.host.size() > 253 || found.origin.host.front() == '.')
        return wrong("no host has such a name");
    found.origin.port = found.origin.secure ? 443 : 80;
    if (after_host.size() > 1) {
        const auto digits = after_host.substr(1);
        const auto [end, ec] =
            std::from_chars(digits.data(), digits.data() + digits.size(), found.origin.port);
        if (ec != std::errc() || end != digits.data() + digits.size() || found.origin.port == 0)
            return wrong("a port is a number from 1 to 65535");
    }
    return found;
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
