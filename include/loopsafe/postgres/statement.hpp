// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_STATEMENT_HPP
#define LOOPSAFE_POSTGRES_STATEMENT_HPP

#include <concepts>
#include <source_location>
#include <string>
#include <string_view>

namespace loopsafe::postgres {

/// The text of one SQL statement, and its place in the program.
///
/// It is made from any string: `conn.query("select $1::int", 41)`. Parameters are `$1`, `$2`, ...;
/// the server rejects several statements in one text, so a parameter can never add one.
///
/// A text that a session runs again, with parameters of the same types, is prepared there: the
/// server then parses it once, and after some runs may plan it once as well. What it has inferred
/// is then fixed: the types of parameters that are sent without one (texts, `std::uint64_t`),
/// functions, and anything that depends on `search_path`, the role or a setting that is not
/// reported to clients. So a change of a table, view or function may go unnoticed if it changes the
/// type of a parameter. Use `without_preparing()` for statements that this does not suit, and for
/// values so different that they need different plans; `connector_options::prepared` for a whole
/// connector.
class statement {
public:
    template <std::convertible_to<std::string_view> Text>
    statement(const Text& text, std::source_location where = std::source_location::current())
        : text_(static_cast<std::string_view>(text)), where_(where)
    {
    }

    /// The same, never prepared.
    statement without_preparing() const
    {
        auto same = *this;
        same.may_be_prepared_ = false;
        return same;
    }

    /// The same, with a result in PostgreSQL's binary form: half the bytes for a bytea, and numbers
    /// that need no parsing.
    ///
    ///     auto rows = co_await conn.query(
    ///         statement("select image from pictures where id = $1").with_binary_results(), 7);
    ///
    /// For statements whose columns are of types that `codec` reads in binary.
    statement with_binary_results() const
    {
        auto same = *this;
        same.wants_binary_results_ = true;
        return same;
    }

    const std::string& text() const noexcept { return text_; }
    const std::source_location& where() const noexcept { return where_; }
    bool may_be_prepared() const noexcept { return may_be_prepared_; }
    bool wants_binary_results() const noexcept { return wants_binary_results_; }

private:
    std::string text_;
    std::source_location where_;
    bool may_be_prepared_ = true;
    bool wants_binary_results_ = false;
};

} // namespace loopsafe::postgres

#endif
