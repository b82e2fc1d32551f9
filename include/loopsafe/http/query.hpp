// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_QUERY_HPP
#define LOOPSAFE_HTTP_QUERY_HPP

#include <loopsafe/http/detail/percent.hpp>
#include <loopsafe/http/url.hpp>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http {

/// The query of a URL, made of names and values, in the order in which they were added; a name may
/// occur more than once.
///
///     http::request r("GET", "https://example.org/find" + http::query{{"q", "a b"}, {"page",
///     "2"}});
///
/// All but letters, digits and "-._~" is encoded, a space as %20, so that no name or value can end
/// its own, and a server that takes it for a form reads the same (RFC 3986, 2.3 and 3.4).
/// Complexity: linear in the text.
class query {
public:
    struct parameter {
        std::string_view name;
        std::string_view value;
    };

    query() = default;
    query(std::initializer_list<parameter> all)
    {
        for (const auto& each : all)
            add(each.name, each.value);
    }

    /// Adds a parameter, even if there already is one of this name.
    query& add(std::string_view name, std::string_view value)
    {
        detail::append_pair(text_, name, value, [](std::string& to, std::string_view each) {
            detail::append_encoded(to, each, detail::unreserved_char);
        });
        return *this;
    }

    /// Such as "q=a%20b&page=2".
    const std::string& text() const noexcept { return text_; }
    bool empty() const noexcept { return text_.empty(); }

private:
    std::string text_;
};

/// The URL with these parameters behind those that it has, and in front of its fragment. It may be
/// one that a client completes, such as "/find". An empty query changes nothing.
inline std::string operator+(std::string_view url, const query& added)
{
    const auto end = std::min(url.find('#'), url.size());
    const auto before = url.substr(0, end);
    std::string whole;
    whole.reserve(url.size() + 1 + added.text().size());
    whole += before;
    if (!added.empty()) {
        if (before.find('?') == std::string_view::npos)
            whole += '?';
        else if (!before.ends_with('?') && !before.ends_with('&'))
            whole += '&';
        whole += added.text();
    }
    whole += url.substr(end);
    return whole;
}

/// The same for a URL that has been parsed.
inline url operator+(url to, const query& added)
{
    to.target = std::string_view(to.target) + added;
    return to;
}

} // namespace loopsafe::http

#endif
