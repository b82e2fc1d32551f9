// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_EXCHANGE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_EXCHANGE_HPP

#include <loopsafe/async/detail/deadline.hpp>
#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/offload/offload.hpp>
#include <loopsafe/postgres/codec.hpp>
#include <loopsafe/postgres/detail/answer.hpp>
#include <loopsafe/postgres/detail/late_reset.hpp>
#include <loopsafe/postgres/detail/pipeline.hpp>
#include <loopsafe/postgres/detail/request.hpp>
#include <loopsafe/postgres/detail/session.hpp>
#include <loopsafe/postgres/result.hpp>
#include <loopsafe/postgres/statement.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::postgres::detail {

// From the first byte sent to the last one read. If it ends early, by an exception, a cancellation
// or the end of its frame, the session must not be used again.
class sole_use {
public:
    sole_use(session& s, stage at, const std::source_location& where) : session_(s)
    {
        if (s.busy)
            throw error(errc::busy, at, {}, where);
        if (s.closed() || s.broken)
            throw error(errc::unusable, at, {}, where);
        s.busy = s.broken = true;
        s.notices.forget();
    }
    sole_use(const sole_use&) = delete;
    sole_use& operator=(const sole_use&) = delete;
    ~sole_use() { session_.busy = false; }

    void complete() noexcept { session_.broken = false; }

private:
    session& session_;
};

// libpq opens a connection of its own for this, and blocks, for as long as the server is silent.
inline void send_cancel(const cancel_handle& request)
{
    char ignored[256];
    PQcancel(request.get(), ignored, sizeof ignored);
}

// A server that hangs takes these threads and no others: beyond them, a session is closed without a
// request. Never joined, as the shared ones.
inline worker_threads& cancelling_threads()
{
    static auto* const threads = new worker_threads(
        {.max_threads = 4, .max_queued = 0, .name = "postgres, cancel requests"});
    return *threads;
}

inline asio::awaitable<void> cancel_on_server(std::shared_ptr<session> s,
                                              std::source_location where)
{
    cancel_handle request(PQgetCancel(s->handle()));
    if (request == nullptr)
        throw std::bad_alloc();
    co_await offload({.workers = &cancelling_threads(), .cancelled = on_cancel::abandon},
                     send_cancel, std::move(request));
    if (PQpipelineStatus(s->handle()) != PQ_PIPELINE_OFF) {
        const auto failure = co_await read_to_the_end(s, stage::query, where);
        s->refused = s->refused || failure;
        co_return;
    }
    const auto got = co_await read_answer(s, stage::query, where);
    if (got.failure)
        s->refused = true;
}

// Gives a statement a name on the server, unless that could end a transaction.
inline asio::awaitable<answer> prepare(std::shared_ptr<session> s,
                                       prepared_statements::entry& known,
                                       const parameter_arrays& arrays, const statement& sql)
{
    auto* const handle = s->handle();
    auto& statements = s->statements;
    const auto name = statements.new_name();
    if (!s->in_transaction()) {
        if (statements.full())
            statements.make_room();
        auto& surplus = statements.surplus();
        while (!surplus.empty()) {
            require_sent(send_text(handle, "deallocate " + surplus.back()), handle, stage::query,
                         sql.where());
            auto got = co_await read_answer(s, stage::query, sql.where());
            if (got.failure && got.failure->sqlstate() != "26000")
                co_return got;
            surplus.pop_back();
        }
    } else if (statements.full()) {
        co_return answer();
    }
    statements.surplus().push_back(name); // until it is certain that the server has it
    require_sent(arrays.send_prepare(handle, name, sql), handle, stage::query, sql.where());
    auto got = co_await read_answer(s, stage::query, sql.where());
    statements.surplus().pop_back();
    if (!got.failure)
        statements.prepared(known, name);
    co_return got;
}

inline error with_advice(const error& stale, bool gone)
{
    auto report = stale.report();
    if (gone)
        report.hint = "a pooler in transaction mode, or DEALLOCATE, has removed a prepared "
                      "statement: set connector_options::prepared to false, or use "
                      "statement::without_preparing()";
    else if (stale.sqlstate() == "0A000")
        report.hint = "an object used by the statement has changed: run the transaction again";
    return {stale.code(), stale.stage(), std::move(report), stale.where()};
}

// A statement that has run before is first prepared, and from then on executed by its name.
inline asio::awaitable<answer> ask(std::shared_ptr<session> s, const statement& sql,
                                   const parameters& values, stage at)
{
    auto& statements = s->statements;
    const parameter_arrays arrays(values);
    const bool preparable = at == stage::query && sql.may_be_prepared();
    if (s->reset_due && at != stage::reset) {
        auto got = co_await ask_after_reset(s, sql, arrays, at);
        if (got) {
            if (preparable && !got->failure)
                statements.remember(prepared_statements::key(s->handle(), sql, values),
                                    got->rows.command());
            co_return *std::move(got);
        }
    }
    auto* const handle = s->handle(); // perhaps a new one
    auto key = preparable ? prepared_statements::key(handle, sql, values) : std::string();
    auto* const known = preparable ? statements.find(key) : nullptr;
    if (known != nullptr && !known->prepared()) {
        auto got = co_await prepare(s, *known, arrays, sql);
        if (got.failure)
            co_return got;
    }
    if (known != nullptr && known->prepared()) {
        require_sent(arrays.send_prepared(handle, known->name, sql), handle, at, sql.where());
        auto got = co_await read_answer(s, at, sql.where());
        if (!got.stale)
            co_return got;
        const bool gone = got.failure->sqlstate() == "26000" &&
                          got.failure->server_message().find(known->name) != std::string_view::npos;
        statements.forget(key, gone);
        if (gone)
            statements.limit(0);
        if (s->in_transaction()) {
            got.failure = with_advice(*got.failure, gone);
            co_return got;
        }
    }
    require_sent(arrays.send(handle, sql), handle, at, sql.where());
    auto got = co_await read_answer(s, at, sql.where());
    if (preparable && !got.failure)
        statements.remember(std::move(key), got.rows.command());
    co_return got;
}

// Not thrown, since the caller must clean up first.
template <class Got>
struct attempt_at {
    std::optional<Got> got;
    std::exception_ptr broken_off = nullptr;
};

template <class Got>
asio::awaitable<attempt_at<Got>> ask_or_cancel(std::shared_ptr<session> s,
                                               asio::awaitable<Got> asking, stage at,
                                               std::source_location where, sole_use& session_use)
{
    attempt_at<Got> result;
    bool cancelled = false;
    try {
        result.got.emplace(co_await std::move(asking));
    } catch (const error& e) {
        result.broken_off = std::current_exception();
        cancelled = at == stage::query && e.code() == asio::error::operation_aborted &&
                    !s->closed() && s->cancel_timeout != std::chrono::milliseconds::zero() &&
                    PQflush(s->handle()) == 0;
    } catch (...) {
        result.broken_off = std::current_exception();
    }
    bool finished = result.broken_off == nullptr;
    if (cancelled) {
        try {
            const auto done = co_await loopsafe::detail::finish_within<asio::steady_timer>(
                co_await asio::this_coro::executor, s->cancel_timeout, cancel_on_server(s, where));
            finished = done.error == nullptr;
        } catch (const std::bad_alloc&) { // no cancel request was sent
        }
    }
    if (finished && PQstatus(s->handle()) == CONNECTION_OK &&
        PQpipelineStatus(s->handle()) == PQ_PIPELINE_OFF)
        session_use.complete();
    co_return result;
}

// Nothing else is done with the session meanwhile, and a cancellation takes effect only at waits.
template <class Got>
asio::awaitable<Got> as_sole_user(std::shared_ptr<session> s, asio::awaitable<Got> asking, stage at,
                                  std::source_location where)
{
    sole_use session_use(*s, at, where);
    s->used = true;
    auto trying = ask_or_cancel(s, std::move(asking), at, where, session_use);
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    auto done = co_await std::move(trying);
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (done.broken_off)
        std::rethrow_exception(done.broken_off);
    co_return *std::move(done.got);
}

// The reset that is due, in a round trip of its own.
inline asio::awaitable<void> reset_now(session_in_turn asked, std::source_location where)
{
    const auto s = asked.get();
    if (s == nullptr)
        throw error(errc::unusable, stage::reset, {}, where);
    asked.require(co_await asio::this_coro::executor, "ready", where);
    sole_use session_use(*s, stage::reset, where);
    if (s->reset_due) {
        auto resetting = reset_first(s, where);
        const bool throws = co_await asio::this_coro::throw_if_cancelled();
        co_await asio::this_coro::throw_if_cancelled(false);
        std::exception_ptr failure;
        try {
            co_await std::move(resetting);
        } catch (...) {
            failure = std::current_exception();
        }
        co_await asio::this_coro::throw_if_cancelled(throws);
        if (failure)
            std::rethrow_exception(failure);
    }
    session_use.complete();
}

// One statement, sent and answered. It shares the session, so the connection may be destroyed
// first.
inline asio::awaitable<result> exchange(session_in_turn asked, statement sql, parameters values,
                                        stage at)
{
    const auto where = sql.where();
    const auto s = asked.get();
    if (s == nullptr)
        throw error(errc::unusable, at, {}, where);
    asked.require(co_await asio::this_coro::executor, to_string(at).data(), where);
    check_texts(sql, values, at);
    auto asking = ask(s, sql, values, at);
    auto got = co_await as_sole_user(s, std::move(asking), at, where);
    if (got.failure) {
        s->refused = true;
        throw *std::move(got.failure);
    }
    s->notices.rethrow();
    co_return std::move(got.rows);
}

} // namespace loopsafe::postgres::detail

#endif
