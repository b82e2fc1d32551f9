// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_LATE_RESET_HPP
#define LOOPSAFE_POSTGRES_DETAIL_LATE_RESET_HPP

#include <loopsafe/async/detail/deadline.hpp>
#include <loopsafe/postgres/detail/pipeline.hpp>
#include <loopsafe/postgres/detail/reconnect.hpp>
#include <loopsafe/postgres/detail/request.hpp>
#include <loopsafe/postgres/detail/session.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <utility>

// The reset of a session that goes along with its first statement.
namespace loopsafe::postgres::detail {

// Whether DISCARD ALL is committed before the next statement of a pipeline runs. A server that does
// not would take the reset back if that statement fails.
inline bool commits_a_reset_at_once(int version) noexcept
{
    constexpr int minor[] = {22, 17, 12, 8, 5}; // of 10 to 14
    const int major = version / 10'000;
    return major > 14 || (major >= 10 && version % 10'000 >= minor[major - 10]);
}

constexpr const char* discard_all = "discard all";

// The answer to the reset. If the server refuses it, it skips all up to the synchronisation.
inline asio::awaitable<void> read_reset(std::shared_ptr<session> s, std::optional<error>& refused,
                                        std::source_location where)
{
    auto got = co_await read_answer(s, stage::reset, where);
    s->unanswered.reset = false;
    if (!got.failure) {
        s->as_new();
        co_return;
    }
    refused = std::move(got.failure);
    co_await read_to_the_end(s, stage::reset, where);
}

// It may have run: the server executes what it has received, whoever still listens.
inline error outcome_unknown(const error& lost, const std::source_location& where)
{
    auto report = lost.report();
    report.hint = "the statement was sent together with the reset of the session: whether it has "
                  "run is unknown";
    return {lost.code(), lost.stage(), std::move(report), where};
}

inline error silent(const session& s, std::chrono::milliseconds limit,
                    const std::source_location& where)
{
    const error lost(errc::connection_lost, stage::reset,
                     {.message = "the server has not answered within the pool's connect_timeout, " +
                                 std::to_string(limit.count()) + " ms",
                      .server = server_of(s.handle())});
    return outcome_unknown(lost, where);
}

// Waits for the answer to the reset. False if the server has refused it and skipped what was sent
// behind it.
inline asio::awaitable<bool> reset_succeeds(std::shared_ptr<session> s, stage at,
                                            std::source_location where)
{
    const auto limit = *s->reset_due;
    std::optional<error> refused;
    const auto done = co_await loopsafe::detail::finish_within<asio::steady_timer>(
        co_await asio::this_coro::executor, limit, read_reset(s, refused, where));
    if (done.error == nullptr)
        co_return !refused;
    if (done.expired && !s->closed())
        throw silent(*s, limit, where);
    try {
        std::rethrow_exception(done.error);
    } catch (const error& e) {
        if (e.code() == asio::error::operation_aborted)
            throw error(e.code(), at, {}, where);
        throw outcome_unknown(refused ? *refused : e, where);
    }
}

// Ahead of whatever is sent in pipeline mode, without a synchronisation behind it.
inline bool send_reset(PGconn* handle) noexcept
{
    errno = 0;
    // The answer to the reset would otherwise wait for that to what follows, however long.
    return PQenterPipelineMode(handle) == 1 &&
           PQsendQueryParams(handle, discard_all, 0, nullptr, nullptr, nullptr, nullptr, 0) == 1 &&
           PQsendFlushRequest(handle) == 1;
}

// Sends the reset and a statement with one synchronisation: one before the statement would let it
// run on a session whose reset has failed. Nothing if it was not sent, or was skipped, and the
// session has a new connection.
inline asio::awaitable<std::optional<answer>> ask_after_reset(std::shared_ptr<session> s,
                                                              const statement& sql,
                                                              const parameter_arrays& arrays,
                                                              stage at)
{
    const auto where = sql.where();
    auto* const handle = s->handle();
    bool as_new = seems_alive(*s);
    if (as_new) {
        const bool sent =
            send_reset(handle) && arrays.send(handle, sql) && PQpipelineSync(handle) == 1;
        if (!sent)
            throw outcome_unknown(broken(handle, at, errc::connection_lost, where), where);
        s->unanswered = {.reset = true, .syncs = 1};
        as_new = co_await reset_succeeds(s, at, where);
    }
    if (!as_new) {
        co_await reconnect(s, where);
        co_return std::nullopt;
    }
    auto got = co_await read_answer(s, at, where);
    try {
        auto late = co_await read_to_the_end(s, at, where);
        if (late && !got.failure)
            got.failure = std::move(late);
    } catch (const error& e) { // a server may say why it ends the session
        if (!got.failure || e.code() == asio::error::operation_aborted)
            throw;
    }
    co_return got;
}

inline asio::awaitable<void> ask_for_reset(std::shared_ptr<session> s, std::source_location where)
{
    require_sent(send_text(s->handle(), discard_all), s->handle(), stage::reset, where);
    auto got = co_await read_answer(s, stage::reset, where);
    if (got.failure)
        throw *std::move(got.failure);
}

// Resets the session, or gives it a new connection, in a round trip of its own.
inline asio::awaitable<void> reset_first(std::shared_ptr<session> s, std::source_location where)
{
    bool as_new = seems_alive(*s);
    if (as_new) {
        const auto done = co_await loopsafe::detail::finish_within<asio::steady_timer>(
            co_await asio::this_coro::executor, *s->reset_due, ask_for_reset(s, where));
        const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none || s->closed())
            throw error(asio::error::operation_aborted, stage::reset, {}, where);
        as_new = done.error == nullptr;
    }
    if (as_new)
        s->as_new();
    else
        co_await reconnect(s, where);
}

} // namespace loopsafe::postgres::detail

#endif
