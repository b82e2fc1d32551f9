// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_TRACE_PARENT_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_TRACE_PARENT_HPP

#include <loopsafe/http/detail/text.hpp>

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// The field traceparent (W3C Trace Context, 3.2).
struct trace_parent {
    std::string_view trace; // empty: malformed
    std::string_view flags;
};

constexpr bool is_lower_hex(std::string_view text) noexcept
{
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return is(digit_char, c) || (c >= 'a' && c <= 'f'); });
}

// A later version may have more after a "-"; the meaning of its flags is not known, but for the
// first.
constexpr trace_parent parse_trace_parent(std::string_view text) noexcept
{
    constexpr std::size_t size = 55;
    constexpr std::string_view zeros = "00000000000000000000000000000000";
    const auto version = text.substr(0, 2);
    if (text.size() < size || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
        version == "ff" || (version == "00" && text.size() != size) ||
        (text.size() > size && text[size] != '-'))
        return {};
    const auto trace = text.substr(3, 32);
    const auto parent = text.substr(36, 16);
    const auto flags = text.substr(53, 2);
    if (!is_lower_hex(version) || !is_lower_hex(trace) || !is_lower_hex(parent) ||
        !is_lower_hex(flags) || trace == zeros || parent == zeros.substr(0, 16))
        return {};
    if (version == "00")
        return {trace, flags};
    const bool sampled = std::string_view("13579bdf").find(flags[1]) != std::string_view::npos;
    return {trace, sampled ? "01" : "00"};
}

// OpenSSL's, which copies of a process do not share.
inline std::string random_hex(std::size_t bytes)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::array<unsigned char, 16> random{};
    do {
        if (RAND_bytes(random.data(), static_cast<int>(bytes)) != 1)
            throw std::runtime_error("http::tracing: OpenSSL has no random numbers");
    } while (std::all_of(random.begin(), random.end(), [](auto byte) { return byte == 0; }));
    std::string text;
    for (std::size_t i = 0; i != bytes; ++i)
        text.append({digits[random[i] / 16], digits[random[i] % 16]});
    return text;
}

} // namespace loopsafe::http::detail

#endif
