// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_REFERENCE_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_REFERENCE_HPP

#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/detail/url_view.hpp>

#include <algorithm>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// A URI reference in its five parts (RFC 3986, appendix B); those with their delimiter.
struct reference {
    std::string_view scheme;    // "http:"
    std::string_view authority; // "//host"
    std::string_view path;
    std::string_view query;    // "?a=b"
    std::string_view fragment; // "#c"
};

inline std::string_view take_front(std::string_view& from, std::size_t size) noexcept
{
    const auto front = from.substr(0, size);
    from.remove_prefix(front.size());
    return front;
}

inline bool is_scheme(std::string_view text) noexcept
{
    const auto is_letter = [](char c) { return lower(c) >= 'a' && lower(c) <= 'z'; };
    return !text.empty() && is_letter(text.front()) && all_are(token_char, text) &&
           text.find_first_of("!#$%&'*^_`|~") == std::string_view::npos;
}

inline reference split_reference(std::string_view text) noexcept
{
    reference r;
    if (const auto fragment = text.find('#'); fragment != std::string_view::npos) {
        r.fragment = text.substr(fragment);
        text = text.substr(0, fragment);
    }
    if (const auto query = text.find('?'); query != std::string_view::npos) {
        r.query = text.substr(query);
        text = text.substr(0, query);
    }
    const auto colon = text.find(':');
    if (colon < text.find('/') && is_scheme(text.substr(0, colon)))
        r.scheme = take_front(text, colon + 1);
    if (text.starts_with("//"))
        r.authority = take_front(text, std::min(text.find('/', 2), text.size()));
    r.path = text;
    return r;
}

// RFC 3986, 5.2, strict. `base` is absolute, and has an authority.
inline std::string resolve_reference(std::string_view base, std::string_view text)
{
    const auto from = split_reference(base);
    auto to = split_reference(text);
    std::string merged;
    if (to.scheme.empty()) {
        to.scheme = from.scheme;
        if (to.authority.empty()) {
            to.authority = from.authority;
            if (to.path.empty()) {
                to.path = from.path;
                if (to.query.empty())
                    to.query = from.query;
            } else if (!to.path.starts_with('/')) {
                const auto slash = from.path.rfind('/');
                merged = slash == std::string_view::npos ? "/" : from.path.substr(0, slash + 1);
                merged += to.path;
                to.path = merged;
            }
        }
    }
    std::string whole(to.scheme);
    whole += to.authority;
    whole += to.path.starts_with('/') ? without_dot_segments(to.path) : std::string(to.path);
    whole += to.query;
    whole += to.fragment;
    return whole;
}

} // namespace loopsafe::http::detail

#endif
