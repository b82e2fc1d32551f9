// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_HANDSHAKE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_HANDSHAKE_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/postgres/detail/conninfo.hpp>
#include <loopsafe/postgres/detail/resolve.hpp>
#include <loopsafe/postgres/detail/session.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cerrno>
#include <memory>
#include <utility>

namespace loopsafe::postgres::detail {

inline stage stage_of(ConnStatusType status) noexcept
{
    switch (status) {
    case CONNECTION_STARTED:
    case CONNECTION_MADE:
    case CONNECTION_NEEDED: return stage::connect;
    case CONNECTION_SSL_STARTUP:
    case CONNECTION_GSS_STARTUP: return stage::tls;
    default: return stage::authenticate;
    }
}

// Tells an invalid option, which libpq finds before it has a socket, from a failure to get a
// socket.
inline error not_started(PGconn* handle)
{
    auto failure = broken(handle, stage::connect, errc::bad_conninfo);
    if (failure.code() != errc::bad_conninfo)
        return failure;
    return {errc::bad_conninfo, stage::configure, failure.report()};
}

inline asio::awaitable<void> drive(session& s, stage& at)
{
    auto* const handle = s.handle();
    for (auto polled = PGRES_POLLING_WRITING; polled != PGRES_POLLING_OK;) {
        if (const auto ec = s.socket->watch(PQsocket(handle)))
            throw error(ec, at, {});
        const auto ready = polled == PGRES_POLLING_READING
                               ? asio::posix::descriptor_base::wait_read
                               : asio::posix::descriptor_base::wait_write;
        co_await s.socket->descriptor().async_wait(ready, asio::use_awaitable);
        errno = 0;
        polled = PQconnectPoll(handle);
        if (polled == PGRES_POLLING_FAILED)
            throw broken(handle, at, errc::connection_failed);
        at = stage_of(PQstatus(handle));
    }
    if (const auto ec = s.socket->watch(PQsocket(handle)))
        throw error(ec, at, {});
}

inline asio::awaitable<std::shared_ptr<session>>
open_session(settings wanted, std::shared_ptr<const notice_handler> handler,
             asio::any_io_executor executor, std::source_location where)
{
    const auto home = context_of(executor, where);
    loopsafe::detail::require_home(home, co_await asio::this_coro::executor, "postgres connector",
                                   "connect", where);
    auto at = stage::resolve;
    std::shared_ptr<session> s;
    try {
        const auto targets = co_await resolve(executor, targets_of(wanted));
        aim(wanted, targets);

        at = stage::connect;
        s = std::make_shared<session>(executor, home, std::move(handler));
        s->adopt(wanted.start());
        s->notices.attach(s->handle());
        if (PQstatus(s->handle()) == CONNECTION_BAD)
            throw not_started(s->handle());
        PQsetErrorVerbosity(s->handle(), PQERRORS_VERBOSE);
        co_await drive(*s, at);
        PQsetErrorVerbosity(s->handle(), PQERRORS_DEFAULT);
        if (PQsetnonblocking(s->handle(), 1) != 0)
            throw broken(s->handle(), at, errc::connection_lost);
        s->notices.rethrow();
        co_return s;
    } catch (const error& e) {
        throw error(e.code(), e.stage(), e.report(), where);
    } catch (const boost::system::system_error& e) {
        const bool silent = e.code() == asio::error::operation_aborted && at > stage::connect;
        throw error(e.code(), at,
                    {.message = e.code().message() +
                                (silent ? "; the server has accepted, and does not answer as "
                                          "PostgreSQL does"
                                        : ""),
                     .server = s == nullptr || s->handle() == nullptr ? std::string()
                                                                      : server_of(s->handle())},
                    where);
    }
}

} // namespace loopsafe::postgres::detail

#endif
