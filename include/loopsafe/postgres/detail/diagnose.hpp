// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_DIAGNOSE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_DIAGNOSE_HPP

#include <loopsafe/postgres/detail/handles.hpp>
#include <loopsafe/postgres/error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::postgres::detail {

inline diagnostics diagnose(const PGresult* result)
{
    const auto field = [result](int code) -> std::string {
        const char* text = PQresultErrorField(result, code);
        return text == nullptr ? std::string() : std::string(text);
    };
    diagnostics report{.severity = field(PG_DIAG_SEVERITY_NONLOCALIZED),
                       .sqlstate = field(PG_DIAG_SQLSTATE),
                       .message = field(PG_DIAG_MESSAGE_PRIMARY),
                       .detail = field(PG_DIAG_MESSAGE_DETAIL),
                       .hint = field(PG_DIAG_MESSAGE_HINT),
                       .context = field(PG_DIAG_CONTEXT),
                       .schema = field(PG_DIAG_SCHEMA_NAME),
                       .table = field(PG_DIAG_TABLE_NAME),
                       .column = field(PG_DIAG_COLUMN_NAME),
                       .constraint = field(PG_DIAG_CONSTRAINT_NAME)};
    const auto position = field(PG_DIAG_STATEMENT_POSITION);
    std::from_chars(position.data(), position.data() + position.size(), report.position);
    return report;
}

inline std::string server_of(const PGconn* connection)
{
    const auto known = [](const char* text) {
        return std::string_view(text == nullptr ? "" : text);
    };
    std::string text(known(PQhost(connection)));
    if (const auto port = known(PQport(connection)); !port.empty())
        text.append(":").append(port);
    if (const auto database = known(PQdb(connection)); !database.empty())
        text.append(", database \"").append(database).append("\"");
    if (const auto user = known(PQuser(connection)); !user.empty())
        text.append(", user \"").append(user).append("\"");
    return text;
}

inline std::string without_trailing_space(std::string_view text)
{
    return std::string(text.substr(0, text.find_last_not_of(" \t\n") + 1));
}

inline std::string_view first_line(std::string_view text)
{
    return text.substr(0, text.find('\n'));
}

// While connecting, libpq passes on the SQLSTATE only in its text, if errors are verbose: "<what
// failed>: FATAL:  28P01: <message>\nDETAIL:  ...\nLOCATION:  ...". The last attempt counts.
inline std::optional<diagnostics> read_verbose(std::string_view text)
{
    constexpr std::string_view mark = ":  ";
    for (auto at = text.rfind(mark); at != text.npos && at != 0; at = text.rfind(mark, at - 1)) {
        const auto state = text.substr(at + mark.size(), 5);
        const auto rest = text.substr(std::min(text.size(), at + mark.size() + 5));
        if (!rest.starts_with(": ") || make_sqlstate_code(state).category() != sqlstate_category())
            continue;
        const auto severity = text.substr(0, at).find_last_of(" \n") + 1;
        diagnostics report{.severity = std::string(text.substr(severity, at - severity)),
                           .sqlstate = std::string(state),
                           .message = std::string(first_line(rest.substr(2)))};
        const auto labelled = [rest](std::string_view label) {
            const auto found = rest.find(label);
            return found == rest.npos ? std::string()
                                      : std::string(first_line(rest.substr(found + label.size())));
        };
        report.detail = labelled("\nDETAIL:  ");
        report.hint = labelled("\nHINT:  ");
        return report;
    }
    return std::nullopt;
}

// libpq passes on errno only as text, in the words of strerror. The last one named counts.
inline int socket_errno(std::string_view text)
{
    constexpr std::array candidates{
        ECONNREFUSED, ECONNRESET,   ECONNABORTED, EPIPE,  ETIMEDOUT, EHOSTUNREACH,
        ENETUNREACH,  EHOSTDOWN,    ENETDOWN,     ENOENT, EACCES,    EADDRNOTAVAIL,
        ENOTCONN,     EAFNOSUPPORT, EADDRINUSE,   EPERM,  EMFILE,    ENFILE};
    int found = 0;
    std::size_t last = 0;
    for (const int candidate : candidates) {
        const auto words = error_code(candidate, boost::system::system_category()).message();
        const auto at = text.rfind(": " + words);
        if (at != text.npos && (found == 0 || at > last)) {
            found = candidate;
            last = at;
        }
    }
    return found;
}

// If a connection breaks, libpq's text is the same whether it was closed or reset.
inline bool breaks_connections(int number) noexcept
{
    return number == ECONNRESET || number == EPIPE || number == ECONNABORTED ||
           number == ETIMEDOUT || number == EHOSTUNREACH || number == ENETUNREACH;
}

// The cause of a failure without a result: the socket, or libpq itself.
// Preconditions: errno was 0 before the call to libpq that failed.
inline error broken(PGconn* connection, stage at, errc otherwise,
                    const std::source_location& where = {})
{
    const int left = errno;
    const auto text = without_trailing_space(PQerrorMessage(connection));
    const auto last = text.rfind("\nconnection to server");
    const auto last_attempt = std::string_view(text).substr(last == text.npos ? 0 : last);
    if (auto report = read_verbose(last_attempt)) {
        const auto code = make_sqlstate_code(report->sqlstate);
        report->server = server_of(connection);
        return {code, at, *std::move(report), where};
    }
    const int named = socket_errno(last_attempt);
    const int number = named == 0 && breaks_connections(left) ? left : named;
    const auto code = number == 0 ? make_error_code(otherwise)
                                  : error_code(number, boost::system::system_category());
    return {code, at, {.message = text, .server = server_of(connection)}, where};
}

} // namespace loopsafe::postgres::detail

#endif
