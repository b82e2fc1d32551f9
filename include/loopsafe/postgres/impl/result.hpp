// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_IMPL_RESULT_HPP
#define LOOPSAFE_POSTGRES_IMPL_RESULT_HPP

#include <charconv>
#include <stdexcept>
#include <string>
#include <utility>

namespace loopsafe::postgres {
namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

[[noreturn]] inline void refuse_index(const char* what, std::size_t index, std::size_t size)
{
    throw std::out_of_range(std::string("postgres result: ") + what + ' ' + std::to_string(index) +
                            " of " + std::to_string(size));
}

[[noreturn]] inline void refuse_types(std::size_t types, std::size_t columns)
{
    throw std::out_of_range("postgres result: as<...>() got " + std::to_string(types) +
                            (types == 1 ? " type for " : " types for ") + std::to_string(columns) +
                            (columns == 1 ? " column" : " columns"));
}

// libpq takes a mutable result even where it only reads.
inline PGresult* reading(const PGresult* result) noexcept
{
    return const_cast<PGresult*>(result);
}

} // namespace detail

inline bool field::is_null() const noexcept
{
    return PQgetisnull(result_, row_, column_) != 0;
}

inline std::string_view field::text() const noexcept
{
    return {PQgetvalue(result_, row_, column_),
            static_cast<std::size_t>(PQgetlength(result_, row_, column_))};
}

inline bool field::is_binary() const noexcept
{
    return PQfformat(result_, column_) != 0;
}

inline std::uint32_t field::type() const noexcept
{
    return PQftype(result_, column_);
}

template <class T>
T field::as() const
{
    if constexpr (detail::is_optional<T>) {
        if (is_null())
            return std::nullopt;
        return as<typename T::value_type>();
    } else {
        static_assert(decodable<T>, "a field cannot be read as this type: specialise "
                                    "loopsafe::postgres::codec for it");
        std::optional<T> value;
        if (!is_null() && !is_binary()) {
            value = codec<T>::decode(text());
        } else if constexpr (decodable_from_binary<T>) {
            if (!is_null())
                value = codec<T>::decode_binary(text(), type());
        }
        if (!value)
            refuse<T>();
        return *std::move(value);
    }
}

template <class T>
void field::refuse() const
{
    throw conversion_error({.row = static_cast<std::size_t>(row_),
                            .column = static_cast<std::size_t>(column_),
                            .column_name = PQfname(result_, column_),
                            .wanted = std::string(codec<T>::name),
                            .text = std::string(text()),
                            .null = is_null(),
                            .binary_type = is_binary() ? type() : 0});
}

inline std::size_t row::size() const noexcept
{
    return static_cast<std::size_t>(PQnfields(result_));
}

inline field row::operator[](std::size_t column) const
{
    if (column >= size())
        detail::refuse_index("column", column, size());
    return {result_, index_, static_cast<int>(column)};
}

inline field row::operator[](std::string_view column) const
{
    for (std::size_t i = 0; i < size(); ++i) {
        if (column == PQfname(result_, static_cast<int>(i)))
            return (*this)[i];
    }
    throw std::out_of_range("postgres result: no column \"" + std::string(column) + '"');
}

template <class... Ts>
std::tuple<Ts...> row::as() const
{
    if (sizeof...(Ts) != size())
        detail::refuse_types(sizeof...(Ts), size());
    return [this]<std::size_t... I>(std::index_sequence<I...>) {
        return std::tuple<Ts...>{(*this)[I].template as<Ts>()...};
    }(std::index_sequence_for<Ts...>());
}

inline std::size_t result::size() const noexcept
{
    return static_cast<std::size_t>(PQntuples(handle_.get()));
}

inline row result::operator[](std::size_t index) const
{
    if (index >= size())
        detail::refuse_index("row", index, size());
    return {handle_.get(), static_cast<int>(index)};
}

inline row result::one() const
{
    if (size() != 1)
        throw std::out_of_range("postgres result: " + std::to_string(size()) +
                                " rows where exactly one was expected");
    return (*this)[0];
}

inline std::size_t result::columns() const noexcept
{
    return static_cast<std::size_t>(PQnfields(handle_.get()));
}

inline std::string_view result::column_name(std::size_t column) const
{
    if (column >= columns())
        detail::refuse_index("column", column, columns());
    return PQfname(handle_.get(), static_cast<int>(column));
}

inline std::uint64_t result::affected_rows() const noexcept
{
    const std::string_view text = PQcmdTuples(detail::reading(handle_.get()));
    std::uint64_t rows = 0;
    std::from_chars(text.data(), text.data() + text.size(), rows);
    return rows;
}

inline std::string_view result::command() const noexcept
{
    const char* tag = handle_ ? PQcmdStatus(handle_.get()) : nullptr;
    return tag == nullptr ? std::string_view() : std::string_view(tag);
}

} // namespace loopsafe::postgres

#endif
