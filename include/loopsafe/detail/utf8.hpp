// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_UTF8_HPP
#define LOOPSAFE_DETAIL_UTF8_HPP

#include <cstddef>
#include <optional>
#include <string_view>

namespace loopsafe::detail {

inline constexpr char32_t replacement_character = 0xfffd;

// A code point from the front, or nothing where the bytes there are none: then the longest part
// that could begin one is taken, at least a byte (Unicode 15.0, 3.9, U+FFFD substitution of maximal
// subparts; well-formed sequences: table 3-7). Precondition: `text` is not empty.
inline std::optional<char32_t> take_code_point(std::string_view& text) noexcept
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) {
        text.remove_prefix(1);
        return first;
    }
    std::size_t size = 0;
    if (first >= 0xc2 && first <= 0xdf)
        size = 2;
    else if (first >= 0xe0 && first <= 0xef)
        size = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        size = 4;
    if (size == 0) {
        text.remove_prefix(1);
        return std::nullopt;
    }
    unsigned char least = 0x80;
    unsigned char most = 0xbf;
    switch (first) {
    case 0xe0: least = 0xa0; break; // longer than it need be
    case 0xed: most = 0x9f; break;  // surrogates
    case 0xf0: least = 0x90; break;
    case 0xf4: most = 0x8f; break; // beyond U+10FFFF
    default: break;
    }
    char32_t value = first & (0x7fU >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if (i == text.size() || byte(i) < least || byte(i) > most) {
            text.remove_prefix(i);
            return std::nullopt;
        }
        value = value << 6U | (byte(i) & 0x3fU);
        least = 0x80;
        most = 0xbf;
    }
    text.remove_prefix(size);
    return value;
}

// Where the first byte is that is not part of a code point.
inline std::optional<std::size_t> not_utf8_at(std::string_view text) noexcept
{
    const auto whole = text.size();
    while (!text.empty()) {
        const auto at = whole - text.size();
        if (!take_code_point(text))
            return at;
    }
    return std::nullopt;
}

} // namespace loopsafe::detail

#endif
