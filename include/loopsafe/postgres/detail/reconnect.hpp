// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_RECONNECT_HPP
#define LOOPSAFE_POSTGRES_DETAIL_RECONNECT_HPP

#include <loopsafe/async/detail/deadline.hpp>
#include <loopsafe/postgres/detail/handshake.hpp>
#include <loopsafe/postgres/detail/session.hpp>
#include <loopsafe/tcp/detail/probe.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <source_location>

namespace loopsafe::postgres::detail {

// Whether a session that is idle seems alive. Takes what a server may send unasked.
inline bool seems_alive(session& s) noexcept
{
    // libpq processes what it has read only when asked whether it is busy.
    const auto understood = [&s] {
        return PQisBusy(s.handle()) == 0 && PQstatus(s.handle()) == CONNECTION_OK &&
               !s.notices.alarmed() && !s.in_transaction();
    };
    if (!understood())
        return false;
    using loopsafe::detail::arrival;
    if (const auto first = loopsafe::detail::peek(PQsocket(s.handle()));
        first != arrival::something)
        return first == arrival::nothing;
    return PQconsumeInput(s.handle()) == 1 && understood() &&
           loopsafe::detail::seems_alive(PQsocket(s.handle()));
}

inline asio::awaitable<void> open_another(std::shared_ptr<session> s,
                                          std::shared_ptr<session>& fresh,
                                          std::source_location where)
{
    fresh = co_await open_session(s->origin, s->notices.handler(),
                                  s->socket->descriptor().get_executor(), where);
}

// A new connection for a session that could not be reset. Preconditions: a reset is due.
inline asio::awaitable<void> reconnect(std::shared_ptr<session> s, std::source_location where)
{
    const auto limit = *s->reset_due;
    s->hang_up();
    std::shared_ptr<session> fresh;
    const auto done = co_await loopsafe::detail::finish_within<asio::steady_timer>(
        co_await asio::this_coro::executor, limit, open_another(s, fresh, where));
    if (done.error != nullptr) {
        try {
            std::rethrow_exception(done.error);
        } catch (const error& e) {
            if (!done.expired)
                throw;
            throw error(asio::error::timed_out, e.stage(), e.report(), where);
        }
    }
    if (s->ended())
        throw error(asio::error::operation_aborted, stage::reset, {}, where);
    if (const auto ec = s->continue_with(*fresh))
        throw error(ec, stage::connect, {}, where);
}

} // namespace loopsafe::postgres::detail

#endif
