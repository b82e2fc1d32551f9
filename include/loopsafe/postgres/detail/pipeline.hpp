// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_PIPELINE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_PIPELINE_HPP

#include <loopsafe/postgres/detail/answer.hpp>
#include <loopsafe/postgres/detail/session.hpp>

#include <boost/asio/awaitable.hpp>

#include <cerrno>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>

namespace loopsafe::postgres::detail {

inline void require_sent(bool sent, PGconn* handle, stage at, const std::source_location& where)
{
    if (!sent)
        throw broken(handle, at, errc::connection_lost, where);
}

inline void end_pipeline(session& s, stage at, const std::source_location& where)
{
    errno = 0;
    require_sent(PQexitPipelineMode(s.handle()) == 1, s.handle(), at, where);
}

// Reads up to the next synchronisation. Returns the first failure: a statement that has succeeded
// may still fail where the synchronisation commits it.
template <class More = nothing_more>
asio::awaitable<std::optional<error>> read_to_sync(std::shared_ptr<session> s, stage at,
                                                   std::source_location where, More* more = nullptr)
{
    auto* const handle = s->handle();
    std::optional<error> failure;
    for (bool ended = false;;) {
        bool lost = false;
        if (PQisBusy(handle) == 1)
            lost = !co_await await_result(s, at, where, more);
        const result_handle next(lost ? nullptr : PQgetResult(handle));
        if (next == nullptr) {
            if (lost || std::exchange(ended, true)) // or nothing more will come
                throw failure ? *failure : broken(handle, at, errc::connection_lost, where);
            continue;
        }
        ended = false;
        const auto status = PQresultStatus(next.get());
        if (status == PGRES_PIPELINE_SYNC)
            break;
        if (is_copy(status))
            throw error(errc::unsupported, at, {}, where);
        const bool good = is_success(status);
        if (std::exchange(s->unanswered.reset, false) && good)
            s->as_new();
        if (good)
            s->heard(PQcmdStatus(next.get()));
        else if (status != PGRES_PIPELINE_ABORTED && !failure)
            failure = failed(handle, next.get(), at, where);
    }
    --s->unanswered.syncs;
    co_return failure;
}

// Reads whatever is still to come in pipeline mode, and leaves it.
inline asio::awaitable<std::optional<error>> read_to_the_end(std::shared_ptr<session> s, stage at,
                                                             std::source_location where)
{
    std::optional<error> failure;
    while (s->unanswered.syncs != 0) {
        auto found = co_await read_to_sync(s, at, where);
        if (!failure)
            failure = std::move(found);
    }
    end_pipeline(*s, at, where);
    co_return failure;
}

} // namespace loopsafe::postgres::detail

#endif
