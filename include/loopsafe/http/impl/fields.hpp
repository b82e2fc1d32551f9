// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_FIELDS_HPP
#define LOOPSAFE_HTTP_IMPL_FIELDS_HPP

#include <loopsafe/http/detail/text.hpp>

#include <algorithm>

namespace loopsafe::http {
namespace detail {

// For callers that have checked what they add.
struct fields_access {
    static void append(fields& to, std::string_view name, std::string_view value)
    {
        to.append(name, value);
    }
    // In two steps, for names and values that are parts of one text: first their positions, counted
    // from its start, then the text.
    static void add_part(fields& to, std::size_t name, std::size_t name_size, std::size_t value,
                         std::size_t value_size)
    {
        if (to.entries_.empty())
            to.entries_.reserve(16);
        to.entries_.push_back({{name, name_size}, {value, value_size}});
    }
    static std::string& text(fields& of) noexcept { return of.text_; }
};

// Quotes what cannot be printed, so that an error message does not repeat the injection.
inline std::string printable(std::string_view text, std::size_t most = 80)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string shown = "\"";
    for (const char c : text.substr(0, most)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            shown += c;
        } else {
            shown += "\\x";
            shown += digits[byte >> 4];
            shown += digits[byte & 15];
        }
    }
    shown += text.size() > most ? "...\"" : "\"";
    return shown;
}

// Where a value is not one, without the value: it may be a secret.
inline std::string where_wrong(std::string_view value)
{
    std::size_t n = 0;
    while (n != value.size() && is(field_char, value[n]))
        ++n;
    return "byte " + std::to_string(n + 1) + " is " + printable(value.substr(n, 1));
}

// What an error may show of a URL: not its query, which may be a signature.
inline std::string shown(std::string_view url)
{
    return printable(url.substr(0, url.find_first_of("?#")));
}

// Of one that is malformed, anything up to the last "@" may belong to a password, and if a query
// may have begun before it, anything behind it to that.
inline std::string shown_malformed(std::string_view url)
{
    const auto at = url.rfind('@');
    if (at == std::string_view::npos)
        return shown(url);
    const auto scheme = url.substr(0, url.find_first_of(":/?#@"));
    std::string text;
    if (url.substr(scheme.size()).starts_with("://"))
        text.append(scheme).append("://");
    text += "...";
    if (url.find_first_of("?#") > at)
        text += url.substr(at);
    return shown(text);
}

[[noreturn]] inline void refuse(errc what, const std::string& about)
{
    throw error(what, {.stage = stage::prepare}, about);
}

} // namespace detail

inline void fields::append(std::string_view name, std::string_view value)
{
    const entry added{{text_.size(), name.size()}, {text_.size() + name.size(), value.size()}};
    entries_.reserve(entries_.size() == entries_.capacity() ? 2 * entries_.size() + 4 : 0);
    std::string both; // they may be views of this text
    both.reserve(name.size() + value.size());
    both.append(name).append(value);
    text_ += both;
    entries_.push_back(added);
}

inline void fields::add(std::string_view name, std::string_view value)
{
    if (!detail::is_token(name))
        detail::refuse(errc::bad_field_name, "field " + detail::printable(name));
    value = detail::trimmed(value);
    if (!detail::all_are(detail::field_char, value))
        detail::refuse(errc::bad_field_value,
                       "field " + std::string(name) + ": " + detail::where_wrong(value));
    append(name, value);
}

inline void fields::set(std::string_view name, std::string_view value)
{
    fields changed = *this; // a copy: `value` may be a view of what is removed
    changed.erase(name);
    changed.add(name, value);
    *this = std::move(changed);
}

inline std::size_t fields::erase(std::string_view name) noexcept
{
    const auto removed = std::erase_if(entries_, [&](const entry& each) {
        return detail::equal_ignoring_case(view(each.name), name);
    });
    if (removed != 0)
        compact();
    return removed;
}

// Moves the remaining fields to the front: in the text, they are in their order.
inline void fields::compact() noexcept
{
    std::size_t end = 0;
    const auto move = [&](part& p) {
        std::char_traits<char>::move(text_.data() + end, text_.data() + p.at, p.size);
        p.at = end;
        end += p.size;
    };
    for (auto& each : entries_) {
        move(each.name);
        move(each.value);
    }
    text_.erase(end);
}

inline std::optional<std::string_view> fields::find(std::string_view name) const noexcept
{
    for (const auto& each : entries_) {
        if (each.name.size == name.size() && detail::equal_ignoring_case(view(each.name), name))
            return view(each.value);
    }
    return std::nullopt;
}

inline std::size_t fields::count(std::string_view name) const noexcept
{
    return static_cast<std::size_t>(
        std::count_if(entries_.begin(), entries_.end(), [&](const entry& each) {
            return detail::equal_ignoring_case(view(each.name), name);
        }));
}

} // namespace loopsafe::http

#endif
