// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_CODEC_HPP
#define LOOPSAFE_POSTGRES_CODEC_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace loopsafe::postgres {

/// One parameter as it is sent.
struct parameter {
    std::string bytes = {};
    std::uint32_t type = 0; ///< the OID of its type; 0 lets the server infer it from the statement
    bool binary = false;
    bool null = false;
};

/// How values of type T are sent and read. Specialise it for a type of your own:
///
///     template <> struct loopsafe::postgres::codec<my::uuid> {
///         static constexpr std::string_view name = "uuid";
///         static parameter encode(const my::uuid& value) { return {.bytes = to_string(value)}; }
///         static std::optional<my::uuid> decode(std::string_view text);  // nullopt: not one
///     };
///
/// `encode` is needed for parameters, `name` and `decode` for results, which are read as text.
///
/// | C++ | sent as |
/// | --- | --- |
/// | `bool` | boolean |
/// | signed integers up to 32 bits, unsigned ones up to 16 | integer |
/// | signed integers of 64 bits, unsigned ones of 32 | bigint |
/// | `std::uint64_t` | what the server infers |
/// | `float`, `double` | real, double precision |
/// | what converts to `std::string_view` | what the server infers |
/// | `std::span<const std::byte>`, `std::vector<std::byte>` | bytea |
/// | `std::optional<T>` | as T, or NULL |
/// | `nullptr`, `std::nullopt`, a null `const char*` | NULL |
template <class T>
struct codec {};

/// What can be a parameter of a statement.
template <class T>
concept encodable = requires(const std::decay_t<T>& value) {
    { codec<std::decay_t<T>>::encode(value) } -> std::same_as<parameter>;
};

/// What a field can be read as.
template <class T>
concept decodable = requires(std::string_view text) {
    { codec<T>::decode(text) } -> std::same_as<std::optional<T>>;
    { codec<T>::name } -> std::convertible_to<std::string_view>;
};

} // namespace loopsafe::postgres

#include <loopsafe/postgres/impl/codec.hpp>

#endif
