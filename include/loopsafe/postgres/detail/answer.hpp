// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_ANSWER_HPP
#define LOOPSAFE_POSTGRES_DETAIL_ANSWER_HPP

#include <loopsafe/async/detail/wait_either.hpp>
#include <loopsafe/postgres/detail/diagnose.hpp>
#include <loopsafe/postgres/detail/session.hpp>
#include <loopsafe/postgres/result.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cerrno>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <sys/ioctl.h>
#include <utility>

namespace loopsafe::postgres::detail {

// libpq reads once, at least 8 kB; more may be inside of TLS, already decrypted, where the
// descriptor does not show it. A read that began with nothing waiting outside has taken the rest.
inline bool consume(PGconn* handle) noexcept
{
    errno = 0;
    if (PQsslInUse(handle) == 0)
        return PQconsumeInput(handle) == 1;
    for (int waiting = 1; waiting > 0 && PQisBusy(handle) == 1;) {
        if (::ioctl(PQsocket(handle), FIONREAD, &waiting) != 0)
            waiting = 0;
        if (PQconsumeInput(handle) != 1)
            return false;
    }
    return true;
}

struct nothing_more {
    void operator()() const noexcept {}
};

// Waits until libpq has a result or the end of an answer. What it has buffered is sent meanwhile: a
// server that has much to say may read no more before that is read. False if the connection is
// lost. `more` hands more to libpq, when the socket may take more.
template <class More = nothing_more>
asio::awaitable<bool> await_result(std::shared_ptr<session> s, stage at, std::source_location where,
                                   More* more = nullptr)
{
    auto* const handle = s->handle();
    auto& descriptor = s->socket->descriptor();
    while (PQisBusy(handle) == 1) {
        if (more != nullptr)
            (*more)();
        errno = 0;
        const int left = PQflush(handle);
        if (left < 0)
            co_return false;
        error_code ec;
        // A cancellation may have come between two waits.
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        if (cancellation.cancelled() != asio::cancellation_type::none)
            throw error(asio::error::operation_aborted, at, {}, where);
        if (left == 0)
            co_await descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                                           asio::redirect_error(asio::use_awaitable, ec));
        else
            co_await loopsafe::detail::async_wait_either(
                descriptor, asio::redirect_error(asio::use_awaitable, ec));
        if (!ec && s->closed())
            ec = asio::error::operation_aborted;
        if (ec)
            throw error(ec, at, {}, where);
        if (!consume(handle) && PQisBusy(handle) == 1)
            co_return false;
    }
    co_return true;
}

inline bool is_copy(ExecStatusType status) noexcept
{
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

inline bool is_success(ExecStatusType status) noexcept
{
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

inline error failed(PGconn* handle, const PGresult* result, stage at,
                    const std::source_location& where)
{
    auto report = diagnose(result);
    if (report.sqlstate.empty())
        return broken(handle, at, errc::connection_lost, where);
    report.server = server_of(handle);
    return {make_sqlstate_code(report.sqlstate), at, std::move(report), where};
}

// The server's complete answer to one request.
struct answer {
    result rows; // of its last statement
    std::optional<error> failure;
    bool stale = false; // it may have failed because its prepared statement is gone or out of date
};

// A plan caused the failure: analysing the statement anew, which runs nothing, and points to a
// place in it.
inline bool is_stale(const PGresult* failed)
{
    const auto field = [failed](int code) {
        const char* text = PQresultErrorField(failed, code);
        return std::string_view(text == nullptr ? "" : text);
    };
    const auto state = field(PG_DIAG_SQLSTATE);
    return field(PG_DIAG_CONTEXT).empty() &&
           (state == "26000" ||
            (state.starts_with("42") && !field(PG_DIAG_STATEMENT_POSITION).empty()) ||
            (state == "0A000" && field(PG_DIAG_SOURCE_FUNCTION) == "RevalidateCachedQuery"));
}

// Sends what libpq has buffered, and reads the answer.
template <class More = nothing_more>
asio::awaitable<answer> read_answer(std::shared_ptr<session> s, stage at,
                                    std::source_location where, More* more = nullptr)
{
    auto* const handle = s->handle();
    answer got;
    for (;;) {
        bool lost = false;
        if (PQisBusy(handle) == 1)
            lost = !co_await await_result(s, at, where, more);
        if (lost && got.failure)
            co_return got;
        if (lost)
            throw broken(handle, at, errc::connection_lost, where);
        result_handle next(PQgetResult(handle));
        if (next == nullptr)
            co_return got;
        const auto status = PQresultStatus(next.get());
        if (is_copy(status))
            throw error(errc::unsupported, at, {}, where);
        if (is_success(status)) {
            got.rows = result(std::move(next));
            s->heard(got.rows.command());
        } else if (!got.failure) {
            got.stale = is_stale(next.get());
            got.failure = failed(handle, next.get(), at, where);
        }
    }
}

} // namespace loopsafe::postgres::detail

#endif
