// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_TRACE_PARENT_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_TRACE_PARENT_HPP

#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/http/detail/text.hpp>

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>

namespace loopsafe::http::detail {

inline constexpr std::size_t trace_parent_size = 55;

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
    constexpr auto size = trace_parent_size;
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

// OpenSSL's random bytes, of which each thread keeps some, since asking for few costs as much. A
// copy of the process has none of them.
class random_bytes {
public:
    // Preconditions: at most 16.
    static const unsigned char* take(std::size_t size)
    {
        thread_local random_bytes kept;
        return kept.next(size);
    }

private:
    random_bytes() { loopsafe::detail::watch_forks(); }

    const unsigned char* next(std::size_t size)
    {
        const auto now = loopsafe::detail::process_generation.load(std::memory_order_relaxed);
        if (used_ + size > all_.size() || loopsafe::detail::copied_between(generation_, now)) {
            used_ = all_.size(); // if it throws
            if (RAND_bytes(all_.data(), static_cast<int>(all_.size())) != 1)
                throw std::runtime_error("http::tracing: OpenSSL has no random numbers");
            generation_ = now;
            used_ = 0;
        }
        const auto* taken = all_.data() + used_;
        used_ += size;
        return taken;
    }

    std::array<unsigned char, 256> all_{};
    std::size_t used_ = all_.size();
    std::uint64_t generation_ = 0;
};

using trace_field = std::array<char, trace_parent_size>;

// With a new parent. Without a trace, of a new trace, which is sampled.
inline trace_field new_trace_parent(const trace_parent& of)
{
    trace_field made{'0', '0'};
    made[2] = made[35] = made[52] = '-';
    const auto put = [&made](std::string_view text, std::size_t at) {
        std::copy(text.begin(), text.end(), made.begin() + static_cast<std::ptrdiff_t>(at));
    };
    const auto put_random = [&made](std::size_t at, std::size_t bytes) {
        constexpr std::string_view digits = "0123456789abcdef";
        const auto* from = random_bytes::take(bytes);
        while (std::all_of(from, from + bytes, [](auto byte) { return byte == 0; }))
            from = random_bytes::take(bytes);
        for (std::size_t i = 0; i != bytes; ++i) {
            made[at + 2 * i] = digits[from[i] / 16];
            made[at + 2 * i + 1] = digits[from[i] % 16];
        }
    };
    if (of.trace.empty())
        put_random(3, 16);
    else
        put(of.trace, 3);
    put_random(36, 8);
    put(of.trace.empty() ? "01" : of.flags, 53);
    return made;
}

} // namespace loopsafe::http::detail

#endif
