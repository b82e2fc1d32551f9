// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_EXCHANGE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_EXCHANGE_HPP

#include <loopsafe/detail/deadline.hpp>
#include <loopsafe/detail/refusal.hpp>
#include <loopsafe/postgres/codec.hpp>
#include <loopsafe/postgres/detail/diagnose.hpp>
#include <loopsafe/postgres/detail/session.hpp>
#include <loopsafe/postgres/result.hpp>
#include <loopsafe/postgres/statement.hpp>
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cerrno>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <sys/ioctl.h>
#include <utility>
#include <vector>

namespace loopsafe::postgres::detail {

using parameters = std::vector<parameter>;

// From the first byte sent to the last one read. Whatever ends it early, be it an exception, a
// cancellation or the end of its frame, leaves a session that nothing can follow.
class operation {
public:
    operation(session& s, stage at, const std::source_location& where) : session_(s)
    {
        if (s.busy)
            throw error(errc::busy, at, {}, where);
        if (s.closed() || s.broken)
            throw error(errc::unusable, at, {}, where);
        s.busy = s.broken = true;
        s.notices.forget();
    }
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;
    ~operation() { session_.busy = false; }

    void complete() noexcept { session_.broken = false; }

private:
    session& session_;
};

inline void check_texts(const statement& sql, const parameters& values, stage at)
{
    constexpr std::string_view nul = " has a NUL byte; only bytea can hold one";
    const auto refuse = [&](std::string what, std::string_view why) {
        throw error(errc::bad_parameter, at, {.message = what.append(why)}, sql.where());
    };
    if (sql.text().find('\0') != std::string::npos)
        refuse("the statement", nul);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!values[i].binary && values[i].bytes.find('\0') != std::string::npos)
            refuse("parameter $" + std::to_string(i + 1), nul);
        if (!std::in_range<int>(values[i].bytes.size()))
            refuse("parameter $" + std::to_string(i + 1), " has more bytes than libpq can count");
    }
}

inline bool send(PGconn* handle, const statement& sql, const parameters& values)
{
    std::vector<Oid> types;
    std::vector<const char*> bytes;
    std::vector<int> lengths;
    std::vector<int> formats;
    for (const auto& value : values) {
        types.push_back(value.type);
        bytes.push_back(value.null ? nullptr : value.bytes.data());
        lengths.push_back(static_cast<int>(value.bytes.size()));
        formats.push_back(value.binary ? 1 : 0);
    }
    errno = 0;
    return PQsendQueryParams(handle, sql.text().c_str(), static_cast<int>(values.size()),
                             types.data(), bytes.data(), lengths.data(), formats.data(), 0) == 1;
}

// libpq reads once, at least 8 kB; more may lie decrypted inside of TLS, where the descriptor does
// not show it. A read that began with nothing waiting outside has taken the rest.
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

// False where the socket takes no more. Reads as well: libpq empties its socket before it says so,
// lest both sides wait for each other.
inline bool flush(PGconn* handle, stage at, const std::source_location& where)
{
    errno = 0;
    const int left = PQflush(handle);
    if (left < 0)
        throw broken(handle, at, errc::connection_lost, where);
    return left == 0;
}

inline asio::awaitable<void> wait(session& s, asio::posix::descriptor_base::wait_type ready,
                                  stage at, const std::source_location& where)
{
    error_code ec;
    co_await s.socket.descriptor().async_wait(ready, asio::redirect_error(asio::use_awaitable, ec));
    if (!ec && s.closed())
        ec = asio::error::operation_aborted;
    if (ec)
        throw error(ec, at, {}, where);
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
    return {make_sqlstate_code(report.sqlstate), at, std::move(report), where};
}

// What the server says to one statement, to the last word.
struct answer {
    result rows;
    std::optional<error> failure;
};

inline asio::awaitable<answer> read_answer(std::shared_ptr<session> s, stage at,
                                           std::source_location where)
{
    auto* const handle = s->handle();
    answer got;
    for (;;) {
        bool lost = false;
        while (PQisBusy(handle) == 1 && !lost) {
            co_await wait(*s, asio::posix::descriptor_base::wait_read, at, where);
            lost = !consume(handle) && PQisBusy(handle) == 1;
        }
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
        if (is_success(status))
            got.rows = result(std::move(next));
        else if (!got.failure)
            got.failure = failed(handle, next.get(), at, where);
    }
}

// libpq opens a connection of its own for this, and blocks.
inline void send_cancel(const cancel_handle& request)
{
    char ignored[256];
    PQcancel(request.get(), ignored, sizeof ignored);
}

inline asio::awaitable<void> cancel_on_server(std::shared_ptr<session> s,
                                              std::source_location where)
{
    cancel_handle request(PQgetCancel(s->handle()));
    if (request == nullptr)
        throw std::bad_alloc();
    if (loopsafe::detail::worker_core::is_worker())
        send_cancel(request);
    else
        co_await offload({.cancelled = on_cancel::abandon}, send_cancel, std::move(request));
    const auto got = co_await read_answer(s, stage::query, where);
    if (got.failure)
        s->refused = true;
}

// One statement, sent and answered. It shares the session, so that the connection may go first.
inline asio::awaitable<result> exchange(std::shared_ptr<session> s, statement sql,
                                        parameters values, stage at)
{
    const auto where = sql.where();
    if (s == nullptr)
        throw error(errc::unusable, at, {}, where);
    loopsafe::detail::require_home(s->home(), co_await asio::this_coro::executor,
                                   "postgres connection", to_string(at).data(), where);
    check_texts(sql, values, at);
    operation op(*s, at, where);
    s->used = true;

    auto* const handle = s->handle();
    if (!send(handle, sql, values))
        throw broken(handle, at, errc::connection_lost, where);
    values.clear();
    while (!flush(handle, at, where))
        co_await wait(*s, asio::posix::descriptor_base::wait_write, at, where);

    answer got;
    std::exception_ptr cancelled;
    try {
        got = co_await read_answer(s, at, where);
    } catch (const error& e) {
        if (at != stage::query || e.code() != asio::error::operation_aborted || s->closed() ||
            s->cancel_timeout == std::chrono::milliseconds::zero())
            throw;
        cancelled = std::current_exception();
    }
    if (cancelled) {
        const bool throws = co_await asio::this_coro::throw_if_cancelled();
        co_await asio::this_coro::throw_if_cancelled(false); // it has been cancelled already
        const auto done = co_await loopsafe::detail::finish_within<asio::steady_timer>(
            co_await asio::this_coro::executor, s->cancel_timeout, cancel_on_server(s, where));
        co_await asio::this_coro::throw_if_cancelled(throws);
        if (done.error == nullptr && PQstatus(handle) == CONNECTION_OK)
            op.complete();
        std::rethrow_exception(cancelled);
    }

    if (PQstatus(handle) == CONNECTION_OK)
        op.complete();
    if (got.failure) {
        s->refused = true;
        throw *std::move(got.failure);
    }
    s->notices.rethrow();
    co_return std::move(got.rows);
}

} // namespace loopsafe::postgres::detail

#endif
