// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_IMPL_ERROR_HPP
#define LOOPSAFE_POSTGRES_IMPL_ERROR_HPP

#include <loopsafe/postgres/impl/categories.hpp>

#include <utility>

namespace loopsafe::postgres {

inline std::string_view to_string(stage s) noexcept
{
    switch (s) {
    case stage::configure: return "configure";
    case stage::resolve: return "resolve";
    case stage::connect: return "connect";
    case stage::tls: return "tls";
    case stage::authenticate: return "authenticate";
    case stage::query: return "query";
    case stage::transaction: return "transaction";
    case stage::reset: return "reset";
    }
    return "unknown";
}

inline const boost::system::error_category& errc_category() noexcept
{
    return detail::errc_category_instance;
}

inline const boost::system::error_category& sqlstate_category() noexcept
{
    return detail::sqlstate_category_instance;
}

inline const boost::system::error_category& condition_category() noexcept
{
    return detail::condition_category_instance;
}

inline error_code make_error_code(errc e) noexcept
{
    return {static_cast<int>(e), errc_category()};
}

inline boost::system::error_condition make_error_condition(condition c) noexcept
{
    return {static_cast<int>(c), condition_category()};
}

inline error_code make_sqlstate_code(std::string_view sqlstate) noexcept
{
    if (const int packed = detail::pack_sqlstate(sqlstate); packed > 0)
        return {packed, sqlstate_category()};
    return errc::connection_failed;
}

inline error::error(error_code code, postgres::stage at, diagnostics report,
                    std::source_location where)
    : system_error(code)
{
    std::string text = "postgres ";
    text += to_string(at);
    text += ": ";
    text += report.message.empty() ? code.message() : report.message;
    if (!report.sqlstate.empty())
        text += " [" + report.sqlstate + ']';
    if (!report.detail.empty())
        text += "\n  detail: " + report.detail;
    if (!report.hint.empty())
        text += "\n  hint:   " + report.hint;
    if (report.position != 0)
        text += "\n  at:     character " + std::to_string(report.position) + " of the statement";
    if (!report.server.empty())
        text += "\n  server: " + report.server;
    if (where.line() != 0)
        text += "\n  used:   " + loopsafe::detail::to_string(where);
    shared_ = std::make_shared<const shared>(shared{at, std::move(report), where, std::move(text)});
}

namespace detail {

// As the names of the library's own codecs need it.
inline std::string with_article(const std::string& type)
{
    if (type == "text")
        return type;
    return (type.starts_with("8-") || type.starts_with("unsigned") ? "an " : "a ") + type;
}

} // namespace detail

inline conversion_error::conversion_error(place seen) : system_error(errc::bad_conversion)
{
    constexpr std::size_t shown = 64;
    std::string text = "postgres result: column " + std::to_string(seen.column) + " \"" +
                       seen.column_name + "\", row " + std::to_string(seen.row) + ": ";
    if (seen.null) {
        text += "NULL is not " + detail::with_article(seen.wanted) + "; use std::optional";
    } else if (seen.binary_type != 0) {
        text += std::to_string(seen.text.size()) + " bytes of type " +
                std::to_string(seen.binary_type) + " are not " + detail::with_article(seen.wanted) +
                "; cast the column, or request the result as text";
    } else {
        text += '"' + seen.text.substr(0, shown) + (seen.text.size() > shown ? "..." : "");
        text += "\" is not " + detail::with_article(seen.wanted);
    }
    shared_ = std::make_shared<const shared>(shared{std::move(seen), std::move(text)});
}

} // namespace loopsafe::postgres

#endif
