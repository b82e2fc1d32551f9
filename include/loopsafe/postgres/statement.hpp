// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_STATEMENT_HPP
#define LOOPSAFE_POSTGRES_STATEMENT_HPP

#include <concepts>
#include <source_location>
#include <string>
#include <string_view>

namespace loopsafe::postgres {

/// The text of one SQL statement, and where it stands in the program.
///
/// It is made of any string: `conn.query("select $1::int", 41)`. Parameters are `$1`, `$2`, ...;
/// several statements in one text are refused by the server, so a parameter can never add one.
class statement {
public:
    template <std::convertible_to<std::string_view> Text>
    statement(const Text& text, std::source_location where = std::source_location::current())
        : text_(static_cast<std::string_view>(text)), where_(where)
    {
    }

    const std::string& text() const noexcept { return text_; }
    const std::source_location& where() const noexcept { return where_; }

private:
    std::string text_;
    std::source_location where_;
};

} // namespace loopsafe::postgres

#endif
