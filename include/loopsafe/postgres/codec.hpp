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

/// One parameter, as sent to the server.
struct parameter {
    std::string bytes = {};
    std::uint32_t type = 0; ///< the OID of its type; 0 lets the server infer it from the statement
    bool binary = false;
    bool null = false;
};

/// How values of type T are sent and read. Specialise it for your own types:
///
///     template <> struct loopsafe::postgres::codec<my::uuid> {
///         static constexpr std::string_view name = "uuid";
///         static parameter encode(const my::uuid& value) { return {.bytes = to_string(value)}; }
///         static std::optional<my::uuid> decode(std::string_view text);  // nullopt: not a uuid
///         static std::optional<my::uuid> decode_binary(std::string_view bytes, std::uint32_t oid);
///     };
///
/// Parameters need `encode`. Results need `name` and `decode`; binary results
/// (`statement::with_binary_results`) need `decode_binary`. `type` is an OID, for a codec that
/// sends every value, and so also NULL, as the same type.
///
/// | C++                                       | sent as          | read in binary from           |
/// | ----------------------------------------- | ---------------- | ----------------------------- |
/// | `bool`                                    | boolean          | boolean                       |
/// | signed up to 32 bits, unsigned up to 16   | integer          | integer types                 |
/// | signed of 64 bits, unsigned of 32         | bigint           | integer types                 |
/// | `std::uint64_t`                           | inferred         | integer types                 |
/// | `float`                                   | real             | integer types, real, double   |
/// | `double`                                  | double precision | integer types, real, double   |
/// | `std::string`, `std::string_view`         | inferred         | text types                    |
/// | others that convert to `std::string_view` | inferred         |                               |
/// | `std::vector<std::byte>`                  | bytea            | bytea                         |
/// | `std::span<const std::byte>`              | bytea            |                               |
/// | `std::optional<T>`                        | as T, or NULL    | as T, or NULL                 |
/// | `nullptr`, `std::nullopt`                 | NULL             |                               |
/// | a null `const char*`                      | NULL             |                               |
///
/// Inferred: the server chooses the type. Integer types: smallint, integer, bigint, oid; text
/// types: text, varchar, char, name, json, jsonb, xml; double: double precision.
///
/// A text result is read by its text, whatever the type: an integer column can be a `double`.
template <class T>
struct codec {};

/// The codec of a parameter passed as a `const T&`; a literal is a `const char*`.
template <class T>
using parameter_codec = codec<std::decay_t<const T&>>;

/// Types that can be parameters of a statement.
template <class T>
concept encodable = requires(const std::decay_t<const T&>& value) {
    { parameter_codec<T>::encode(value) } -> std::same_as<parameter>;
};

namespace detail {

// Its name stands in the compiler's error.
template <class T>
struct specialise_loopsafe_postgres_codec_for {};

// There is a type only where a parameter needs it.
template <class... Parameters>
struct cure_of_parameters {};
template <class T, class... Others>
    requires(encodable<T> && !(encodable<Others> && ...))
struct cure_of_parameters<T, Others...> : cure_of_parameters<Others...> {};
template <class T, class... Others>
    requires(!encodable<T>)
struct cure_of_parameters<T, Others...> {
    using type = specialise_loopsafe_postgres_codec_for<std::decay_t<const T&>>;
};
template <class T, class... Others>
    requires(!encodable<std::optional<T>>)
struct cure_of_parameters<std::optional<T>, Others...> : cure_of_parameters<T> {};

} // namespace detail

/// Types that a field can be read as.
template <class T>
concept decodable = requires(std::string_view text) {
    { codec<T>::decode(text) } -> std::same_as<std::optional<T>>;
    { codec<T>::name } -> std::convertible_to<std::string_view>;
};

/// Types that a field of a binary result can be read as. `type` is the column's, as an OID.
template <class T>
concept decodable_from_binary =
    decodable<T> && requires(std::string_view bytes, std::uint32_t type) {
        { codec<T>::decode_binary(bytes, type) } -> std::same_as<std::optional<T>>;
    };

} // namespace loopsafe::postgres

#include <loopsafe/postgres/impl/codec.hpp>

#endif
