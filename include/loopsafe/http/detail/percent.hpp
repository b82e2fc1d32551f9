// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_PERCENT_HPP
#define LOOPSAFE_HTTP_DETAIL_PERCENT_HPP

#include <loopsafe/http/detail/text.hpp>

#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// RFC 3986, 2.1.
inline void append_percent(std::string& to, char c)
{
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    to.append({'%', digits[byte / 16], digits[byte % 16]});
}

// What is of none of these classes is sent as %XX.
inline void append_encoded(std::string& to, std::string_view text, int kept)
{
    for (const char c : text) {
        if (is(kept, c))
            to += c;
        else
            append_percent(to, c);
    }
}

// One more "name=value" of a text of them, as `append` writes each. `added` is made first, since
// both may be views of the text.
template <class Append>
void append_pair(std::string& text, std::string_view name, std::string_view value, Append append)
{
    std::string added = text.empty() ? "" : "&";
    append(added, name);
    added += '=';
    append(added, value);
    text += added;
}

} // namespace loopsafe::http::detail

#endif
