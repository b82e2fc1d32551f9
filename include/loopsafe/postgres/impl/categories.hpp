// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_IMPL_CATEGORIES_HPP
#define LOOPSAFE_POSTGRES_IMPL_CATEGORIES_HPP

#include <loopsafe/detail/error_category.hpp>

#include <array>
#include <cerrno>

namespace loopsafe::postgres::detail {

constexpr std::size_t sqlstate_length = 5;

// Base 36 in one int; 0 for anything that is not a SQLSTATE.
constexpr int pack_sqlstate(std::string_view sqlstate) noexcept
{
    if (sqlstate.size() != sqlstate_length)
        return 0;
    int packed = 0;
    for (const char c : sqlstate) {
        if (c >= '0' && c <= '9')
            packed = packed * 36 + (c - '0');
        else if (c >= 'A' && c <= 'Z')
            packed = packed * 36 + (c - 'A' + 10);
        else
            return 0;
    }
    return packed;
}

constexpr std::array<char, sqlstate_length> unpack_sqlstate(int packed) noexcept
{
    std::array<char, sqlstate_length> text{};
    for (auto c = text.rbegin(); c != text.rend(); ++c, packed /= 36)
        *c = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[packed % 36];
    return text;
}

struct errc_table {
    using value_type = errc;
    static constexpr auto id = 0x6c6f6f7073716c01u;
    static constexpr auto name = "loopsafe.postgres";

    static std::string message(value_type value)
    {
        switch (value) {
        case errc::bad_conninfo: return "invalid connection string or option";
        case errc::connection_failed: return "no connection could be made";
        case errc::connection_lost: return "the connection is lost";
        case errc::unusable: return "an earlier operation on the connection was aborted";
        case errc::busy: return "another operation is in progress on the connection";
        case errc::bad_parameter: return "a parameter cannot be sent";
        case errc::bad_conversion: return "a field cannot be converted to the requested type";
        case errc::transaction_open: return "a transaction is already open";
        case errc::transaction_failed:
            return "a statement in the transaction failed: it was rolled back, not committed";
        case errc::unsupported: return "COPY is not supported";
        }
        return "unknown";
    }
};

struct sqlstate_table {
    using value_type = int;
    static constexpr auto id = 0x6c6f6f7073716c02u;
    static constexpr auto name = "loopsafe.postgres.sqlstate";

    static std::string message(value_type value)
    {
        const auto text = unpack_sqlstate(value);
        return "SQLSTATE " + std::string(text.data(), text.size());
    }
};

// The range of a condition: all SQLSTATEs with this prefix.
inline std::string_view sqlstate_prefix(condition c) noexcept
{
    switch (c) {
    case condition::connection_exception: return "08";
    case condition::invalid_authorization: return "28";
    case condition::integrity_violation: return "23";
    case condition::not_null_violation: return "23502";
    case condition::foreign_key_violation: return "23503";
    case condition::unique_violation: return "23505";
    case condition::check_violation: return "23514";
    case condition::transaction_rollback: return "40";
    case condition::syntax_error_or_access_rule: return "42";
    case condition::insufficient_resources: return "53";
    case condition::query_canceled: return "57014";
    }
    return "unknown";
}

inline constexpr std::array socket_errors{
    ECONNREFUSED, ECONNRESET,   ECONNABORTED, EPIPE,  ETIMEDOUT, EHOSTUNREACH,
    ENETUNREACH,  EHOSTDOWN,    ENETDOWN,     ENOENT, EACCES,    EADDRNOTAVAIL,
    ENOTCONN,     EAFNOSUPPORT, EAGAIN,       EMFILE, ENFILE};

inline bool connection_is_gone(const error_code& code) noexcept
{
    if (code.category() == errc_category()) {
        const auto e = static_cast<errc>(code.value());
        return e == errc::connection_failed || e == errc::connection_lost || e == errc::unusable;
    }
    if (code.category() == sqlstate_category()) {
        const auto text = unpack_sqlstate(code.value());
        return std::string_view(text.data(), text.size()).substr(0, 4) == "57P0";
    }
    if (code.category() == boost::system::system_category()) {
        for (const int value : socket_errors)
            if (code.value() == value)
                return true;
    }
    return false;
}

struct condition_table {
    using value_type = condition;
    static constexpr auto id = 0x6c6f6f7073716c03u;
    static constexpr auto name = "loopsafe.postgres.condition";

    static std::string message(value_type value)
    {
        const auto c = value;
        return "SQLSTATE " + std::string(sqlstate_prefix(c)) +
               (c == condition::connection_exception ? ", or a lost connection" : "");
    }

    static bool covers(const error_code& code, value_type value) noexcept
    {
        const auto c = value;
        if (c == condition::connection_exception && connection_is_gone(code))
            return true;
        if (code.category() != sqlstate_category())
            return false;
        const auto text = unpack_sqlstate(code.value());
        return std::string_view(text.data(), text.size()).starts_with(sqlstate_prefix(c));
    }
};

inline constexpr loopsafe::detail::category_of<errc_table> errc_category_instance{};
inline constexpr loopsafe::detail::category_of<sqlstate_table> sqlstate_category_instance{};
inline constexpr loopsafe::detail::category_of<condition_table> condition_category_instance{};

} // namespace loopsafe::postgres::detail

#endif
