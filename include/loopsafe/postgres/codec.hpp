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
///         static std::optional<my::uuid> decode_binary(std::string_view bytes, std::uint32_t oid);
///     };
///
/// `encode` is needed for parameters, `name` and `decode` for results, `decode_binary` for results
/// that were asked for in binary (`statement::with_binary_results`); `type`, an OID, where every
/// value is sent as the same type, so that NULL is as well.
///
/// | C++ | sent as | read in binary from |
/// | --- | --- | --- |
/// | `bool` | boolean | boolean |
/// | signed integers up to 32 bits, unsigned ones up to 16 | integer | smallint, integer, bigint,
/// oid | | signed integers of 64 bits, unsigned ones of 32 | bigint | the same | | `std::uint64_t`
/// | what the server infers | the same | | `float`, `double` | real, double precision | the same,
/// real, double precision | | `std::string`, `std::string_view` | what the server infers | text,
/// varchar, char, name, json, jsonb, xml | | what else converts to `std::string_view` | what the
/// server infers | | | `std::vector<std::byte>` | bytea | bytea | | `std::span<const std::byte>` |
/// bytea | | | `std::optional<T>` | as T, or NULL | as T, or NULL | | `nullptr`, `std::nullopt`, a
/// null `const char*` | NULL | |
///
/// What is read as text is whatever the type's text reads as; an integer column can be a `double`.
template <class T>
struct codec {};

/// The codec of a parameter that is passed as a `const T&`; a literal is a `const char*`.
template <class T>
using parameter_codec = codec<std::decay_t<const T&>>;

/// What can be a parameter of a statement.
template <class T>
concept encodable = requires(const std::decay_t<const T&>& value) {
    { parameter_codec<T>::encode(value) } -> std::same_as<parameter>;
};

/// What a field can be read as.
template <class T>
concept decodable = requires(std::string_view text) {
    { codec<T>::decode(text) } -> std::same_as<std::optional<T>>;
    { codec<T>::name } -> std::convertible_to<std::string_view>;
};

/// What a field of a binary result can be read as. The type is the column's, as an OID.
template <class T>
concept decodable_from_binary =
    decodable<T> && requires(std::string_view bytes, std::uint32_t type) {
        { codec<T>::decode_binary(bytes, type) } -> std::same_as<std::optional<T>>;
    };

} // namespace loopsafe::postgres

#include <loopsafe/postgres/impl/codec.hpp>

#endif
