// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_CARRY_DICE_HPP
#define LOOPSAFE_TESTS_CARRY_DICE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace carry {

/// One step of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
inline std::uint64_t mix(std::uint64_t x) noexcept
{
    x += 0x9e37'79b9'7f4a'7c15u;
    x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9u;
    x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11ebu;
    return x ^ (x >> 31);
}

/// The same for the same seed, on every machine.
class dice {
public:
    explicit dice(std::uint64_t seed) noexcept : state_(mix(seed)) {}

    std::uint64_t next() noexcept
    {
        state_ += 0x9e37'79b9'7f4a'7c15u;
        return mix(state_);
    }
    std::size_t below(std::size_t n) noexcept { return static_cast<std::size_t>(next() % n); }
    bool one_in(std::size_t n) noexcept { return below(n) == 0; }

    /// From 0 to `most`, small ones more often.
    std::size_t size(std::size_t most) noexcept
    {
        return one_in(8) ? below(most + 1) : below(2 + (most >> below(12)));
    }

private:
    std::uint64_t state_;
};

/// What is said in connection with `id`, and with nothing else.
inline std::string content(std::uint64_t id, std::size_t size)
{
    std::string text(size + sizeof(std::uint64_t), '\0');
    for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
        const auto word = mix(id ^ (at << 20));
        std::memcpy(text.data() + at, &word, sizeof word);
    }
    text.resize(size);
    return text;
}

inline std::uint64_t checksum(std::string_view text) noexcept
{
    std::uint64_t sum = text.size();
    for (; text.size() >= sizeof sum; text.remove_prefix(sizeof sum)) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data(), sizeof word);
        sum = (sum ^ word) * 0x9e37'79b9'7f4a'7c15u + 1;
    }
    for (const char c : text)
        sum = (sum ^ static_cast<unsigned char>(c)) * 0x9e37'79b9'7f4a'7c15u + 1;
    return sum;
}

} // namespace carry

#endif
