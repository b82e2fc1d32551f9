// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_EXCHANGE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_EXCHANGE_HPP

#include <loopsafe/detail/deadline.hpp>
#include <loopsafe/detail/refusal.hpp>
#include <loopsafe/postgres/codec.hpp>
#include <loopsafe/postgres/detail/answer.hpp>
#include <loopsafe/postgres/detail/request.hpp>
#include <loopsafe/postgres/detail/session.hpp>
#include <loopsafe/postgres/result.hpp>
#include <loopsafe/postgres/statement.hpp>
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <cerrno>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace loopsafe::postgres::detail {

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

inline void require_sent(bool sent, PGconn* handle, stage at, const std::source_location& where)
{
    if (!sent)
        throw broken(handle, at, errc::connection_lost, where);
}

// Gives a statement a name on the server, where there is room and nothing speaks against it.
inline asio::awaitable<answer> prepare(std::shared_ptr<session> s,
                                       prepared_statements::entry& known,
                                       const parameter_arrays& arrays, const statement& sql)
{
    auto* const handle = s->handle();
    auto& statements = s->statements;
    const bool strays = statements.strays();
    if (statements.full()) {
        if (s->in_transaction()) // which an error would end
            co_return answer();
        const auto deallocate = "deallocate " + statements.give_up();
        statements.strays(true);
        require_sent(send_text(handle, deallocate), handle, stage::query, sql.where());
        co_await read_answer(s, stage::query, sql.where());
    }
    auto name = statements.new_name();
    statements.strays(true);
    require_sent(arrays.send_prepare(handle, name, sql), handle, stage::query, sql.where());
    auto got = co_await read_answer(s, stage::query, sql.where());
    statements.strays(strays);
    if (!got.failure)
        statements.prepared(known, std::move(name));
    co_return got;
}

inline error with_advice(const error& stale)
{
    auto report = stale.report();
    report.hint = stale.sqlstate() == "26000"
                      ? "a pooler in transaction mode, or DEALLOCATE, took a statement that was "
                        "prepared: set connector_options::prepared to false, or see statement"
                      : "what the statement refers to has changed: run the transaction again";
    return {stale.code(), stale.stage(), std::move(report), stale.where()};
}

// A statement that has run before is prepared first, and from then on goes by its name.
inline asio::awaitable<answer> ask(std::shared_ptr<session> s, const statement& sql,
                                   const parameters& values, stage at)
{
    auto* const handle = s->handle();
    auto& statements = s->statements;
    const parameter_arrays arrays(values);
    const bool preparable = at == stage::query && sql.may_be_prepared();
    auto* const known = preparable ? statements.find(sql, values) : nullptr;
    if (known != nullptr && !known->prepared()) {
        auto got = co_await prepare(s, *known, arrays, sql);
        if (got.failure)
            co_return got;
    }
    if (known != nullptr && known->prepared()) {
        require_sent(arrays.send_prepared(handle, known->name, sql), handle, at, sql.where());
        auto got = co_await read_answer(s, at, sql.where());
        const bool gone = got.stale && got.failure->sqlstate() == "26000";
        if (!got.stale ||
            (gone && got.failure->server_message().find(known->name) == std::string_view::npos))
            co_return got;
        statements.forget(sql, values);
        if (gone)
            statements.limit(0);
        else
            statements.strays(true);
        if (s->in_transaction()) {
            got.failure = with_advice(*got.failure);
            co_return got;
        }
    }
    require_sent(arrays.send(handle, sql), handle, at, sql.where());
    auto got = co_await read_answer(s, at, sql.where());
    if (preparable && !got.failure)
        statements.remember(sql, values, got.rows.command());
    co_return got;
}

// Several statements in one text, without parameters, at once or not at all.
inline asio::awaitable<answer> ask_simply(std::shared_ptr<session> s, const statement& sql,
                                          stage at)
{
    require_sent(send_text(s->handle(), sql.text()), s->handle(), at, sql.where());
    return read_answer(std::move(s), at, sql.where());
}

// One request, sent and answered. It shares the session, so that the connection may go first.
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
    answer got;
    std::exception_ptr cancelled;
    try {
        if (at == stage::reset)
            got = co_await ask_simply(s, sql, at);
        else
            got = co_await ask(s, sql, values, at);
    } catch (const error& e) {
        if (at != stage::query || e.code() != asio::error::operation_aborted || s->closed() ||
            s->cancel_timeout == std::chrono::milliseconds::zero() || PQflush(handle) != 0)
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
