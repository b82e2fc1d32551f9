// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_RESULT_HPP
#define LOOPSAFE_POSTGRES_RESULT_HPP

#include <loopsafe/postgres/codec.hpp>
#include <loopsafe/postgres/detail/handles.hpp>
#include <loopsafe/postgres/detail/index_iterator.hpp>
#include <loopsafe/postgres/error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>

namespace loopsafe::postgres {

/// One value of a result. It refers to the result, which must outlive it.
class field {
public:
    bool is_null() const noexcept;

    /// The value as sent by the server, in text or in binary; empty for NULL.
    std::string_view text() const noexcept;

    /// Whether it is in binary; see `statement::with_binary_results`.
    bool is_binary() const noexcept;

    /// The column's type, by its OID in `pg_type`.
    std::uint32_t type() const noexcept;

    /// The value as T: a number, `bool`, `std::string`, `std::string_view` (refers to the result),
    /// `std::vector<std::byte>`, a type with a `codec`, or `std::optional` of one of these.
    ///
    /// Errors: `conversion_error` if the value is not a T, or is NULL without `std::optional`.
    template <class T>
    T as() const;

private:
    friend class row;
    field(const PGresult* result, int row, int column) noexcept
        : result_(result), row_(row), column_(column)
    {
    }

    template <class T>
    [[noreturn]] void refuse() const;

    const PGresult* result_;
    int row_;
    int column_;
};

/// One row of a result. It refers to the result, which must outlive it.
class row {
public:
    using iterator = detail::index_iterator<row, field>;

    /// The number of columns.
    std::size_t size() const noexcept;

    /// Errors: `std::out_of_range`.
    field operator[](std::size_t column) const;
    /// The first column of that name. Errors: `std::out_of_range`.
    field operator[](std::string_view column) const;

    /// All the fields: `auto [id, name] = row.as<int, std::optional<std::string>>();`
    ///
    /// Errors: `std::out_of_range` unless the number of types is the number of columns;
    /// `conversion_error`.
    template <class... Ts>
    std::tuple<Ts...> as() const;

    iterator begin() const noexcept { return {this, 0}; }
    iterator end() const noexcept { return {this, size()}; }

private:
    friend class result;
    row(const PGresult* result, int index) noexcept : result_(result), index_(index) {}

    const PGresult* result_;
    int index_;
};

/// The result of a statement: its rows, complete and in memory, bound to no context.
///
/// Thread safety: distinct objects safe, shared objects safe for const members.
class result {
public:
    using iterator = detail::index_iterator<result, row>;

    /// No rows.
    result() noexcept = default;

    /// The number of rows.
    std::size_t size() const noexcept;
    bool empty() const noexcept { return size() == 0; }

    /// Errors: `std::out_of_range`.
    row operator[](std::size_t index) const;

    /// The only row. Errors: `std::out_of_range` unless there is exactly one.
    row one() const;

    std::size_t columns() const noexcept;
    /// Errors: `std::out_of_range`.
    std::string_view column_name(std::size_t column) const;

    /// The number of rows that an insert, update, delete, merge, select, ... affected; 0 for other
    /// commands.
    std::uint64_t affected_rows() const noexcept;

    /// The command tag, such as "INSERT 0 1".
    std::string_view command() const noexcept;

    iterator begin() const noexcept { return {this, 0}; }
    iterator end() const noexcept { return {this, size()}; }

    /// Internal: takes a result of libpq.
    explicit result(detail::result_handle handle) noexcept : handle_(std::move(handle)) {}

private:
    detail::result_handle handle_;
};

} // namespace loopsafe::postgres

#include <loopsafe/postgres/impl/result.hpp>

#endif
