// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_BINARY_FORMAT_HPP
#define LOOPSAFE_POSTGRES_DETAIL_BINARY_FORMAT_HPP

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

// Source: PostgreSQL documentation, "Formats and Format Codes": a type's binary form is the output
// of its send function; numbers are in network byte order.
namespace loopsafe::postgres::detail {

enum type_oid : std::uint32_t {
    oid_bool = 16,
    oid_bytea = 17,
    oid_char = 18,
    oid_name = 19,
    oid_int8 = 20,
    oid_int2 = 21,
    oid_int4 = 23,
    oid_text = 25,
    oid_oid = 26,
    oid_json = 114,
    oid_xml = 142,
    oid_float4 = 700,
    oid_float8 = 701,
    oid_unknown = 705,
    oid_bpchar = 1042,
    oid_varchar = 1043,
    oid_jsonb = 3802
};

template <class Unsigned>
std::optional<Unsigned> read_network_order(std::string_view bytes) noexcept
{
    if (bytes.size() != sizeof(Unsigned))
        return std::nullopt;
    std::uint64_t value = 0;
    for (const char byte : bytes)
        value = value << 8 | static_cast<unsigned char>(byte);
    return static_cast<Unsigned>(value);
}

// A server's integer as any arithmetic type that can hold it.
template <class To, class Sent>
std::optional<To> read_integer(std::string_view bytes) noexcept
{
    const auto raw = read_network_order<std::make_unsigned_t<Sent>>(bytes);
    if (!raw)
        return std::nullopt;
    const auto value = static_cast<Sent>(*raw);
    if constexpr (std::is_integral_v<To>) {
        if (!std::in_range<To>(value))
            return std::nullopt;
    }
    return static_cast<To>(value);
}

template <class To, class Sent, class Bits>
std::optional<To> read_floating(std::string_view bytes) noexcept
{
    static_assert(sizeof(Sent) == sizeof(Bits) && std::numeric_limits<Sent>::is_iec559);
    const auto raw = read_network_order<Bits>(bytes);
    if (!raw)
        return std::nullopt;
    const auto sent = std::bit_cast<Sent>(*raw);
    const bool too_large =
        std::isfinite(sent) && std::abs(sent) > static_cast<Sent>(std::numeric_limits<To>::max());
    if (too_large)
        return std::nullopt;
    const auto value = static_cast<To>(sent);
    const bool too_small = value == 0 && sent != 0;
    return too_small ? std::nullopt : std::optional(value);
}

template <class To>
std::optional<To> read_number(std::string_view bytes, std::uint32_t type) noexcept
{
    switch (type) {
    case oid_int2: return read_integer<To, std::int16_t>(bytes);
    case oid_int4: return read_integer<To, std::int32_t>(bytes);
    case oid_int8: return read_integer<To, std::int64_t>(bytes);
    case oid_oid: return read_integer<To, std::uint32_t>(bytes);
    default: break;
    }
    if constexpr (std::is_floating_point_v<To>) {
        if (type == oid_float4)
            return read_floating<To, float, std::uint32_t>(bytes);
        if (type == oid_float8)
            return read_floating<To, double, std::uint64_t>(bytes);
    }
    return std::nullopt;
}

// The text of a type whose binary form is its text.
inline std::optional<std::string_view> read_text(std::string_view bytes,
                                                 std::uint32_t type) noexcept
{
    constexpr char jsonb_version = 1;
    switch (type) {
    case oid_text:
    case oid_varchar:
    case oid_bpchar:
    case oid_name:
    case oid_json:
    case oid_xml:
    case oid_unknown: return bytes;
    case oid_char: // its text for NUL is empty
        return bytes.substr(0, bytes.find('\0'));
    case oid_jsonb:
        if (bytes.empty() || bytes.front() != jsonb_version)
            return std::nullopt;
        return bytes.substr(1);
    default: return std::nullopt;
    }
}

} // namespace loopsafe::postgres::detail

#endif
