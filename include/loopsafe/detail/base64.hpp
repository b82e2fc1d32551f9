// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_BASE64_HPP
#define LOOPSAFE_DETAIL_BASE64_HPP

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

// RFC 4648, 4: the standard alphabet, with padding.
namespace loopsafe::detail {

inline constexpr std::string_view base64_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline std::string to_base64(std::string_view bytes)
{
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto part = bytes.substr(i, 3);
        unsigned bits = 0;
        for (std::size_t j = 0; j != 3; ++j)
            bits = bits << 8U | (j < part.size() ? static_cast<unsigned char>(part[j]) : 0U);
        for (std::size_t j = 0; j != 4; ++j)
            text += j <= part.size() ? base64_alphabet[bits >> (18U - 6U * j) & 0x3fU] : '=';
    }
    return text;
}

struct base64_bytes {
    std::string bytes;
    std::optional<std::size_t> wrong_at; // then there are no bytes
};

// Nothing but what to_base64() writes is taken (RFC 4648, 3): no line breaks, no other alphabet, no
// missing padding, no bits that are lost.
inline base64_bytes from_base64(std::string_view text)
{
    static constexpr auto values = [] {
        std::array<signed char, 256> all{};
        all.fill(-1);
        for (std::size_t i = 0; i != base64_alphabet.size(); ++i)
            all[static_cast<unsigned char>(base64_alphabet[i])] = static_cast<signed char>(i);
        return all;
    }();
    std::size_t size = text.size();
    while (size != 0 && text.size() - size < 2 && text[size - 1] == '=')
        --size;
    const auto padding = text.size() - size;
    base64_bytes read;
    read.bytes.reserve(text.size() / 4 * 3);
    unsigned bits = 0;
    for (std::size_t i = 0; i != size; ++i) {
        const auto value = values[static_cast<unsigned char>(text[i])];
        if (value < 0)
            return {{}, i};
        bits = bits << 6U | static_cast<unsigned>(value);
        if (i % 4 != 0)
            read.bytes += static_cast<char>(bits >> (6U - i % 4 * 2) & 0xffU);
    }
    const bool has_whole_groups = text.size() % 4 == 0;
    const unsigned lost_bits = padding == 0 ? 0U : padding == 1 ? 0x3U : 0xfU;
    if (!has_whole_groups || (bits & lost_bits) != 0)
        return {{}, size == 0 ? 0 : size - 1};
    return read;
}

} // namespace loopsafe::detail

#endif
