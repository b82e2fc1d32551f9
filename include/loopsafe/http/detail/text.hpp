// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_TEXT_HPP
#define LOOPSAFE_HTTP_DETAIL_TEXT_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace loopsafe::http::detail {

// The character classes of the grammar, one bit each.
enum char_class : std::uint8_t {
    token_char = 1,  // RFC 9110, 5.6.2
    field_char = 2,  // RFC 9110, 5.5: field-vchar, SP and HTAB
    target_char = 4, // allowed in a request target: VCHAR without "#"
    host_char = 8,   // of a registered name, and of an IPv4 address
    digit_char = 16,
    encoded_char = 32,    // in a request target, sent as %XX: a space, and every byte outside ASCII
    unreserved_char = 64, // RFC 3986, 2.3
    form_char = 128       // WHATWG URL: not in the application/x-www-form-urlencoded encode set
};

inline constexpr auto char_classes = [] {
    std::array<std::uint8_t, 256> table{};
    for (std::size_t c = 0; c < table.size(); ++c) {
        const bool digit = c >= '0' && c <= '9';
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool visible = c > 0x20 && c < 0x7f;
        const auto in = [c](std::string_view set) {
            return set.find(static_cast<char>(c)) != std::string_view::npos;
        };
        unsigned bits = 0;
        if (digit || letter || (c < 0x80 && in("!#$%&'*+-.^_`|~")))
            bits |= token_char;
        if (visible || c == ' ' || c == '\t' || c >= 0x80)
            bits |= field_char;
        if (visible && c != '#')
            bits |= target_char;
        if (digit || letter || (c < 0x80 && in("-._")))
            bits |= host_char;
        if (digit)
            bits |= digit_char;
        if (c == ' ' || c >= 0x80)
            bits |= encoded_char;
        if (digit || letter || (c < 0x80 && in("-._~")))
            bits |= unreserved_char;
        if (digit || letter || (c < 0x80 && in("*-._")))
            bits |= form_char;
        table[c] = static_cast<std::uint8_t>(bits);
    }
    return table;
}();

// Of any of these classes.
constexpr bool is(int wanted, char c) noexcept
{
    return (char_classes[static_cast<unsigned char>(c)] & wanted) != 0;
}

constexpr bool all_are(int wanted, std::string_view text) noexcept
{
    for (const char c : text) {
        if (!is(wanted, c))
            return false;
    }
    return true;
}

constexpr bool is_token(std::string_view text) noexcept
{
    return !text.empty() && all_are(token_char, text);
}

constexpr char lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept
{
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

constexpr std::string_view trimmed(std::string_view text) noexcept
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

// Calls `use` with each member of a comma-separated list (RFC 9110, 5.6.1).
template <class Use>
constexpr void for_each_member(std::string_view list, Use use)
{
    while (!list.empty()) {
        const auto comma = list.find(',');
        const auto member = trimmed(list.substr(0, comma));
        if (!member.empty())
            use(member);
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
}

} // namespace loopsafe::http::detail

#endif
