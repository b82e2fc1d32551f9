// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_ERROR_HPP
#define LOOPSAFE_POSTGRES_ERROR_HPP

#include <loopsafe/error.hpp>
#include <loopsafe/postgres/diagnostics.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>

namespace loopsafe::postgres {

/// The stage that an operation had reached when it failed.
enum class stage {
    configure = 1, ///< an invalid connection string or option
    resolve,       ///< looking up a host name
    connect,       ///< connecting to the server
    tls,           ///< negotiating TLS, or its absence
    authenticate,  ///< from the start-up message to the first "ready for query"
    query,         ///< a statement of the caller's
    transaction,   ///< the statements that begin, commit and roll back
    reset          ///< resetting a used session to the state of a new one
};

/// `connect`, `tls`, ... Thread safety: safe.
std::string_view to_string(stage s) noexcept;

/// Errors that have no number of the server or the operating system.
enum class errc {
    bad_conninfo = 1,   ///< an invalid connection string or option
    connection_failed,  ///< no connection; the message has the reason
    connection_lost,    ///< the peer closed the connection, or sent invalid data
    unusable,           ///< an earlier operation was aborted: the connection can only be closed
    busy,               ///< another operation is in progress on this connection
    bad_parameter,      ///< a text with a NUL byte, or more bytes than libpq can count
    bad_conversion,     ///< a field cannot be converted to the requested type
    transaction_open,   ///< a transaction was begun inside another
    transaction_failed, ///< the transaction cannot commit, since a statement in it failed
    unsupported         ///< COPY
};

/// Groups of errors that callers usually handle alike: `e.code() == condition::...`.
///
/// Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes".
enum class condition {
    connection_exception =
        1, ///< class 08, shutdowns 57P01 to 57P05, a socket's error, a lost connection
    invalid_authorization,       ///< class 28
    integrity_violation,         ///< class 23
    not_null_violation,          ///< 23502
    foreign_key_violation,       ///< 23503
    unique_violation,            ///< 23505
    check_violation,             ///< 23514
    transaction_rollback,        ///< class 40: a serialization failure or a deadlock; try again
    syntax_error_or_access_rule, ///< class 42
    insufficient_resources,      ///< class 53
    query_canceled               ///< 57014: also for a statement_timeout
};

/// The category of `errc`. Thread safety: safe.
const boost::system::error_category& errc_category() noexcept;
/// The category of the server's errors; the value is the SQLSTATE, packed. Thread safety: safe.
const boost::system::error_category& sqlstate_category() noexcept;
/// The category of `condition`. Thread safety: safe.
const boost::system::error_category& condition_category() noexcept;

error_code make_error_code(errc e) noexcept;
boost::system::error_condition make_error_condition(condition c) noexcept;

/// The code of a SQLSTATE such as "23505"; `errc::connection_failed` if it is not a SQLSTATE.
error_code make_sqlstate_code(std::string_view sqlstate) noexcept;

/// Thrown by every operation that fails, except when the context is wrong (`context_error`) and
/// when a field cannot be converted (`conversion_error`).
///
/// `code()` is the SQLSTATE if the server reported the error, else the socket's `errno`, else an
/// `errc`; `boost::asio::error::operation_aborted` after a cancellation. `what()` has all details.
/// Thread safety: as an exception object; copies share one immutable text.
class error : public boost::system::system_error {
public:
    /// `report.message` is the text; it may be empty.
    error(error_code code, stage at, diagnostics report, std::source_location where = {});

    /// The stage that the operation had reached.
    postgres::stage stage() const noexcept { return shared_->at; }

    /// Five characters; empty if the server did not report the error.
    std::string_view sqlstate() const noexcept { return shared_->report.sqlstate; }

    /// The primary message of the server, or libpq's if the server did not report the error.
    std::string_view server_message() const noexcept { return shared_->report.message; }

    std::string_view detail() const noexcept { return shared_->report.detail; }
    std::string_view hint() const noexcept { return shared_->report.hint; }

    /// The position in the statement, in characters from 1; 0 for none.
    std::size_t position() const noexcept { return shared_->report.position; }

    /// All the fields.
    const diagnostics& report() const noexcept { return shared_->report; }

    /// The place of the failed operation in the program; line 0 for none.
    const std::source_location& where() const noexcept { return shared_->where; }

    const char* what() const noexcept override { return shared_->text.c_str(); }

private:
    struct shared {
        postgres::stage at;
        diagnostics report;
        std::source_location where;
        std::string text;
    };
    std::shared_ptr<const shared> shared_;
};

/// Thrown when a field cannot be converted to the requested type. The connection is not affected.
class conversion_error : public boost::system::system_error {
public:
    struct place {
        std::size_t row = 0;
        std::size_t column = 0;
        std::string column_name = {};
        std::string wanted = {}; ///< the name of the requested type
        std::string text = {};   ///< the value of the field; empty for NULL
        bool null = false;
        std::uint32_t binary_type = 0; ///< of a binary result: the column's type, an OID
    };

    explicit conversion_error(place seen);

    const place& seen() const noexcept { return shared_->seen; }
    const char* what() const noexcept override { return shared_->text.c_str(); }

private:
    struct shared {
        place seen;
        std::string text;
    };
    std::shared_ptr<const shared> shared_;
};

} // namespace loopsafe::postgres

template <>
struct boost::system::is_error_code_enum<loopsafe::postgres::errc> : std::true_type {};
template <>
struct boost::system::is_error_condition_enum<loopsafe::postgres::condition> : std::true_type {};

#include <loopsafe/postgres/impl/error.hpp>

#endif
