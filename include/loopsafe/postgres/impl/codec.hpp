// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_IMPL_CODEC_HPP
#define LOOPSAFE_POSTGRES_IMPL_CODEC_HPP

#include <loopsafe/postgres/detail/binary_format.hpp>

#include <array>
#include <charconv>
#include <limits>
#include <span>
#include <system_error>
#include <vector>

namespace loopsafe::postgres {
namespace detail {

template <class T, class... Us>
concept one_of = (std::same_as<T, Us> || ...);

template <class T>
concept integer = std::integral<T> && !one_of<T, bool, char, wchar_t, char8_t, char16_t, char32_t>;

template <class T>
concept number = integer<T> || one_of<T, float, double>;

template <number T>
constexpr std::uint32_t number_oid() noexcept
{
    if constexpr (std::same_as<T, float>)
        return oid_float4;
    else if constexpr (std::same_as<T, double>)
        return oid_float8;
    else if constexpr (std::numeric_limits<T>::digits <= 31)
        return oid_int4;
    else if constexpr (std::numeric_limits<T>::digits <= 63)
        return oid_int8;
    else
        return 0;
}

template <number T>
constexpr std::string_view number_name() noexcept
{
    if constexpr (std::same_as<T, float>)
        return "float";
    else if constexpr (std::same_as<T, double>)
        return "double";
    else if constexpr (std::is_signed_v<T>)
        return sizeof(T) == 1   ? "8-bit integer"
               : sizeof(T) == 2 ? "16-bit integer"
               : sizeof(T) == 4 ? "32-bit integer"
                                : "64-bit integer";
    else
        return sizeof(T) == 1   ? "unsigned 8-bit integer"
               : sizeof(T) == 2 ? "unsigned 16-bit integer"
               : sizeof(T) == 4 ? "unsigned 32-bit integer"
                                : "unsigned 64-bit integer";
}

inline parameter null_parameter(std::uint32_t type = 0)
{
    return {.bytes = {}, .type = type, .binary = false, .null = true};
}

// Of a codec that sends every value as the same type.
template <class T>
constexpr std::uint32_t fixed_type() noexcept
{
    if constexpr (requires { codec<T>::type; })
        return codec<T>::type;
    else
        return 0;
}

inline parameter bytes_parameter(std::span<const std::byte> bytes)
{
    return {.bytes = {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
            .type = oid_bytea,
            .binary = true};
}

constexpr int hex_digit(char c) noexcept
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

} // namespace detail

template <detail::number T>
struct codec<T> {
    static constexpr std::string_view name = detail::number_name<T>();
    static constexpr std::uint32_t type = detail::number_oid<T>();

    static parameter encode(T value)
    {
        std::array<char, 32> text;
        const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
        return {.bytes = {text.data(), end}, .type = type};
    }

    static std::optional<T> decode(std::string_view text)
    {
        T value{};
        const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (ec != std::errc() || end != text.data() + text.size())
            return std::nullopt;
        return value;
    }

    static std::optional<T> decode_binary(std::string_view bytes, std::uint32_t oid)
    {
        return detail::read_number<T>(bytes, oid);
    }
};

template <>
struct codec<bool> {
    static constexpr std::string_view name = "boolean";
    static constexpr std::uint32_t type = detail::oid_bool;

    static parameter encode(bool value) { return {.bytes = value ? "t" : "f", .type = type}; }

    static std::optional<bool> decode(std::string_view text)
    {
        return text == "t"   ? std::optional(true)
               : text == "f" ? std::optional(false)
                             : std::nullopt;
    }

    static std::optional<bool> decode_binary(std::string_view bytes, std::uint32_t oid)
    {
        if (oid != detail::oid_bool || bytes.size() != 1)
            return std::nullopt;
        return bytes.front() != 0;
    }
};

template <class T>
    requires std::convertible_to<const T&, std::string_view>
struct codec<T> {
    static constexpr std::string_view name = "text";

    static parameter encode(const T& value)
    {
        if constexpr (std::is_pointer_v<T>) {
            if (value == nullptr)
                return detail::null_parameter();
        }
        return {.bytes = std::string(static_cast<std::string_view>(value))};
    }

    static std::optional<T> decode(std::string_view text)
        requires detail::one_of<T, std::string, std::string_view>
    {
        return T(text);
    }

    static std::optional<T> decode_binary(std::string_view bytes, std::uint32_t oid)
        requires detail::one_of<T, std::string, std::string_view>
    {
        const auto text = detail::read_text(bytes, oid);
        return text ? std::optional(T(*text)) : std::nullopt;
    }
};

template <std::size_t Extent>
struct codec<std::span<const std::byte, Extent>> {
    static parameter encode(std::span<const std::byte> bytes)
    {
        return detail::bytes_parameter(bytes);
    }
};

template <std::size_t Extent>
struct codec<std::span<std::byte, Extent>> : codec<std::span<const std::byte, Extent>> {};

template <>
struct codec<std::vector<std::byte>> {
    static constexpr std::string_view name = "bytea";
    static constexpr std::uint32_t type = detail::oid_bytea;

    static parameter encode(const std::vector<std::byte>& bytes)
    {
        return detail::bytes_parameter(bytes);
    }

    static std::optional<std::vector<std::byte>> decode(std::string_view text)
    {
        if (!text.starts_with("\\x") || text.size() % 2 != 0)
            return std::nullopt;
        std::vector<std::byte> bytes;
        bytes.reserve(text.size() / 2 - 1);
        for (std::size_t i = 2; i < text.size(); i += 2) {
            const int high = detail::hex_digit(text[i]);
            const int low = detail::hex_digit(text[i + 1]);
            if (high < 0 || low < 0)
                return std::nullopt;
            bytes.push_back(static_cast<std::byte>(high * 16 + low));
        }
        return bytes;
    }

    static std::optional<std::vector<std::byte>> decode_binary(std::string_view bytes,
                                                               std::uint32_t oid)
    {
        if (oid != detail::oid_bytea)
            return std::nullopt;
        const auto raw = std::as_bytes(std::span(bytes));
        return std::vector<std::byte>(raw.begin(), raw.end());
    }
};

template <encodable T>
struct codec<std::optional<T>> {
    static parameter encode(const std::optional<T>& value)
    {
        return value ? codec<T>::encode(*value) : detail::null_parameter(detail::fixed_type<T>());
    }
};

template <>
struct codec<std::nullptr_t> {
    static parameter encode(std::nullptr_t) { return detail::null_parameter(); }
};

template <>
struct codec<std::nullopt_t> {
    static parameter encode(std::nullopt_t) { return detail::null_parameter(); }
};

} // namespace loopsafe::postgres

#endif
