// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_RUN_PIPELINE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_RUN_PIPELINE_HPP

#include <loopsafe/postgres/batch.hpp>
#include <loopsafe/postgres/detail/exchange.hpp>
#include <loopsafe/postgres/detail/late_reset.hpp>
#include <loopsafe/postgres/detail/pipeline.hpp>
#include <loopsafe/postgres/detail/request.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <source_location>
#include <utility>
#include <vector>

namespace loopsafe::postgres::detail {

using requests = std::vector<request>;

// Hands the statements of a pipeline to libpq, no faster than the socket takes them: libpq would
// move what is left each time.
class pipeline_sender {
public:
    // Preconditions: in pipeline mode.
    pipeline_sender(session& s, const requests& all, bool apart) noexcept
        : session_(s), all_(all), apart_(apart)
    {
    }

    void operator()()
    {
        while (next_ != all_.size() && PQflush(session_.handle()) == 0)
            send_some();
    }

    void send_all()
    {
        while (next_ != all_.size())
            send_some();
    }

    // After a failure: the server skips the rest, which need not be sent, and undoes the others.
    void give_up_rest()
    {
        if (next_ == all_.size())
            return;
        next_ = all_.size();
        synchronise(all_.back());
    }

private:
    void send_some()
    {
        constexpr std::size_t enough = 64 * 1024;
        for (std::size_t sent = 0; next_ != all_.size() && sent < enough;) {
            const auto& one = all_[next_++];
            require_sent(parameter_arrays(one.values).send(session_.handle(), one.sql),
                         session_.handle(), stage::query, one.sql.where());
            if (apart_ || next_ == all_.size())
                synchronise(one);
            sent += one.sql.text().size();
            for (const auto& value : one.values)
                sent += value.bytes.size();
        }
    }

    void synchronise(const request& after)
    {
        errno = 0;
        require_sent(PQpipelineSync(session_.handle()) == 1, session_.handle(), stage::query,
                     after.sql.where());
        ++session_.unanswered.syncs;
    }

    session& session_;
    const requests& all_;
    bool apart_;
    std::size_t next_ = 0;
};

// Makes the session as new, alone or together with the statements, which share one synchronisation
// then: a statement behind a second one would run although the reset has failed. True if the
// statements have been sent along.
inline asio::awaitable<bool> reset_with(std::shared_ptr<session> s, const requests& all,
                                        std::source_location where)
{
    if (!seems_alive(*s)) {
        co_await reconnect(s, where);
        co_return false;
    }
    const auto& first = all.front().sql.where();
    try {
        errno = 0;
        require_sent(send_reset(s->handle()), s->handle(), stage::query, first);
        s->unanswered = {.reset = true, .syncs = 0};
        pipeline_sender(*s, all, false).send_all();
    } catch (const error& e) {
        throw outcome_unknown(e, first);
    }
    if (co_await reset_succeeds(s, stage::query, where))
        co_return true;
    co_await reconnect(s, where);
    co_return false;
}

// All or none: the answers of all, or that of the first that failed.
inline asio::awaitable<std::vector<answer>>
ask_together(std::shared_ptr<session> s, const requests& all, std::source_location where)
{
    bool sent = false;
    if (s->reset_due)
        sent = co_await reset_with(s, all, where);
    auto* const handle = s->handle();
    pipeline_sender sender(*s, all, false);
    if (!sent) {
        errno = 0;
        require_sent(PQenterPipelineMode(handle) == 1, handle, stage::query, where);
        s->unanswered = {};
    }
    std::vector<answer> answers;
    answers.reserve(all.size());
    for (const auto& one : all) {
        if (!sent)
            sender(); // libpq may have written the rest by itself, and has nothing to wait for then
        answers.push_back(
            co_await read_answer(s, stage::query, one.sql.where(), sent ? nullptr : &sender));
        if (answers.back().failure)
            break;
    }
    const bool failed = answers.back().failure.has_value();
    if (failed && !sent)
        sender.give_up_rest();
    std::optional<error> late;
    try {
        late = co_await read_to_the_end(s, stage::query, all.back().sql.where());
    } catch (const error& e) { // a server may say why it ends the session
        if (!failed || e.code() == asio::error::operation_aborted)
            throw;
    }
    if (late && !failed)
        answers.back().failure = std::move(late);
    co_return answers;
}

// For a statement of a pipeline that was broken off; perhaps by this one.
inline error unanswered(const error& why, bool first, const std::source_location& where)
{
    const bool refused = why.code() == errc::unsupported;
    auto report = why.report();
    if (!first || !refused)
        report.hint = "whether the statement has run is unknown";
    return {first || !refused ? why.code() : make_error_code(errc::unusable), why.stage(),
            std::move(report), where};
}

// Each by itself: as many answers as there are statements.
inline asio::awaitable<std::vector<answer>>
ask_apart(std::shared_ptr<session> s, const requests& all, std::source_location where)
{
    if (s->reset_due)
        co_await reset_first(s, where);
    auto* const handle = s->handle();
    errno = 0;
    require_sent(PQenterPipelineMode(handle) == 1, handle, stage::query, where);
    s->unanswered = {};
    std::vector<answer> answers;
    answers.reserve(all.size());
    std::size_t settled = 0; // and committed
    try {
        pipeline_sender sender(*s, all, true);
        for (const auto& one : all) {
            sender(); // see above
            answers.push_back(co_await read_answer(s, stage::query, one.sql.where(), &sender));
            auto late = co_await read_to_sync(s, stage::query, one.sql.where(), &sender);
            if (late && !answers.back().failure)
                answers.back().failure = std::move(late);
            ++settled;
        }
        end_pipeline(*s, stage::query, where);
    } catch (const error& e) { // what has been answered is known all the same
        if (e.code() == asio::error::operation_aborted)
            throw;
        answers.resize(all.size());
        for (auto i = settled; i != all.size(); ++i) {
            if (!answers[i].failure)
                answers[i].failure = unanswered(e, i == settled, all[i].sql.where());
        }
    }
    co_return answers;
}

inline asio::awaitable<std::vector<answer>> run_pipeline(session_in_turn asked, requests all,
                                                         bool apart, std::source_location where)
{
    const auto s = asked.get();
    if (s == nullptr)
        throw error(errc::unusable, stage::query, {}, where);
    asked.require(co_await asio::this_coro::executor, "pipeline", where);
    for (const auto& one : all)
        check_texts(one.sql, one.values, stage::query);
    std::vector<answer> answers;
    if (all.empty())
        co_return answers;
    auto asking = apart ? ask_apart(s, all, where) : ask_together(s, all, where);
    answers = co_await as_sole_user(s, std::move(asking), stage::query, where);
    for (const auto& each : answers)
        s->refused = s->refused || each.failure;
    if (apart || !answers.back().failure)
        s->notices.rethrow();
    co_return answers;
}

inline asio::awaitable<std::vector<result>>
all_results(asio::awaitable<std::vector<answer>> pending)
{
    auto answers = co_await std::move(pending);
    std::vector<result> results;
    results.reserve(answers.size());
    for (auto& each : answers) {
        if (each.failure)
            throw *std::move(each.failure);
        results.push_back(std::move(each.rows));
    }
    co_return results;
}

inline asio::awaitable<std::vector<outcome>>
all_outcomes(asio::awaitable<std::vector<answer>> pending)
{
    auto answers = co_await std::move(pending);
    std::vector<outcome> outcomes;
    outcomes.reserve(answers.size());
    for (auto& each : answers) {
        if (each.failure)
            outcomes.emplace_back(*std::move(each.failure));
        else
            outcomes.emplace_back(std::move(each.rows));
    }
    co_return outcomes;
}

} // namespace loopsafe::postgres::detail

#endif
