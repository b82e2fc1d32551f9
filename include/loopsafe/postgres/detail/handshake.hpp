// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_HANDSHAKE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_HANDSHAKE_HPP

#include <loopsafe/async/detail/deadline.hpp>
#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/postgres/detail/conninfo.hpp>
#include <loopsafe/postgres/detail/resolve.hpp>
#include <loopsafe/postgres/detail/session.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>
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
inline error not_started(PGconn* handle, bool is_uri)
{
    auto failure = broken(handle, stage::connect, errc::bad_conninfo);
    if (failure.code() != errc::bad_conninfo)
        return failure;
    auto report = failure.report();
    if (is_uri) {
        report.message = without_quotations(report.message);
        report.server.clear();
    }
    return {errc::bad_conninfo, stage::configure, std::move(report)};
}

// The one of libpq's targets that it tries at present.
struct attempt {
    explicit attempt(PGconn* handle)
        : host(text(PQhost(handle))), address(text(PQhostaddr(handle))), port(text(PQport(handle)))
    {
    }

    bool operator==(const attempt&) const = default;
    bool is_at(const target& t) const
    {
        return port == t.port &&
               (address.empty() ? host == t.host : address == t.address || address == t.host);
    }

    std::string host;
    std::string address;
    std::string port;

private:
    static std::string text(const char* found) { return found == nullptr ? "" : found; }
};

// How long each target may take.
class patience {
public:
    explicit patience(std::chrono::milliseconds each) noexcept : each_(each) {}

    std::chrono::milliseconds left(PGconn* handle)
    {
        if (each_ == never)
            return never;
        if (attempt now(handle); now != current_) {
            current_ = std::move(now);
            began_ = clock::now();
        }
        return each_ - std::chrono::floor<std::chrono::milliseconds>(clock::now() - began_);
    }

private:
    using clock = std::chrono::steady_clock;

    std::chrono::milliseconds each_;
    std::optional<attempt> current_;
    clock::time_point began_;
};

// False if that takes longer than `limit`.
inline asio::awaitable<bool> wait_for(session& s, asio::posix::descriptor_base::wait_type ready,
                                      std::chrono::milliseconds limit)
{
    auto waiting = s.socket->descriptor().async_wait(ready, asio::use_awaitable);
    if (limit == never) {
        co_await std::move(waiting);
        co_return true;
    }
    const auto done = co_await loopsafe::detail::finish_within<asio::steady_timer>(
        co_await asio::this_coro::executor, limit, std::move(waiting));
    if (done.error != nullptr && !done.expired)
        std::rethrow_exception(done.error);
    co_return done.error == nullptr;
}

inline bool accepts_more(PGconn* handle) noexcept
{
    ::pollfd socket{PQsocket(handle), POLLOUT, 0};
    return ::poll(&socket, 1, 0) == 1;
}

// False if one target has taken longer than `limit`.
inline asio::awaitable<bool> drive(session& s, stage& at, std::chrono::milliseconds limit)
{
    auto* const handle = s.handle();
    patience with_target(limit);
    const auto watch = [&] {
        if (const auto ec = s.socket->watch(PQsocket(handle)))
            throw error(ec, at, {});
    };
    for (auto polled = PGRES_POLLING_WRITING; polled != PGRES_POLLING_OK;) {
        if (polled == PGRES_POLLING_READING) {
            watch();
            if (!co_await wait_for(s, asio::posix::descriptor_base::wait_read,
                                   with_target.left(handle)))
                co_return false;
        } else if (!accepts_more(handle)) {
            watch();
            if (!co_await wait_for(s, asio::posix::descriptor_base::wait_write,
                                   with_target.left(handle)))
                co_return false;
            // Else the reactor would report at each later wait that it accepts more.
            s.socket->close();
        }
        errno = 0;
        polled = PQconnectPoll(handle);
        if (polled == PGRES_POLLING_FAILED)
            throw broken(handle, at, errc::connection_failed);
        at = stage_of(PQstatus(handle));
    }
    watch();
    co_return true;
}

inline asio::awaitable<std::shared_ptr<session>>
open_session(std::shared_ptr<const settings> wanted, std::shared_ptr<const notice_handler> handler,
             asio::any_io_executor executor, std::source_location where)
{
    const auto home = context_of(executor, where);
    loopsafe::detail::require_home(home, co_await asio::this_coro::executor, "postgres connector",
                                   "connect", where);
    auto at = stage::resolve;
    std::shared_ptr<session> s;
    try {
        std::chrono::milliseconds limit = std::chrono::seconds(3);
        auto targets = targets_of(*wanted, limit);
        targets = co_await resolve(executor, std::move(targets));
        for (;;) {
            at = stage::connect;
            s = std::make_shared<session>(executor, home, handler);
            s->adopt(wanted->start(targets));
            s->notices.attach(s->handle());
            if (PQstatus(s->handle()) == CONNECTION_BAD)
                throw not_started(s->handle(), wanted->is_uri);
            PQsetErrorVerbosity(s->handle(), PQERRORS_VERBOSE);
            if (co_await drive(*s, at, targets.size() > 1 ? limit : never))
                break;
            const attempt silent(s->handle());
            const auto is_it = [&silent](const target& t) { return silent.is_at(t); };
            const auto found = std::ranges::find_if(targets, is_it);
            targets.erase(found != targets.end() ? found : targets.begin());
            s->close();
        }
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
                                (silent ? "; the server has accepted, and has not answered yet: is "
                                          "the port PostgreSQL's?"
                                        : ""),
                     .server = s == nullptr || s->handle() == nullptr ? std::string()
                                                                      : server_of(s->handle())},
                    where);
    }
}

} // namespace loopsafe::postgres::detail

#endif
