// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_SESSION_HPP
#define LOOPSAFE_POSTGRES_DETAIL_SESSION_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/context/ref.hpp>
#include <loopsafe/postgres/detail/handles.hpp>
#include <loopsafe/postgres/detail/notices.hpp>
#include <loopsafe/postgres/detail/prepared_statements.hpp>
#include <loopsafe/postgres/detail/transaction_ends.hpp>
#include <loopsafe/postgres/detail/watched_socket.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace loopsafe::postgres::detail {

namespace asio = boost::asio;

class settings;

// The state of a connection. An operation in progress shares it, so that the connection may be
// destroyed at any moment; the operation then finds it `closed()`.
class session {
public:
    session(const asio::any_io_executor& executor, const context_ref& home,
            std::shared_ptr<const notice_handler> handler)
        : notices(std::move(handler))
    {
        enter(executor, home);
    }

    ~session() { close(); }
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    PGconn* handle() const noexcept { return handle_.get(); }
    const context_ref& home() const noexcept { return home_; }
    bool closed() const noexcept { return handle_ == nullptr; }

    void adopt(connection_handle handle) noexcept { handle_ = std::move(handle); }

    void close() noexcept
    {
        ended_ = true;
        hang_up();
    }

    // libpq is in non-blocking mode: it sends its goodbye if the socket accepts it, and does not
    // wait.
    void hang_up() noexcept
    {
        if (socket)
            socket->close();
        handle_.reset();
    }

    // Whether it was closed, and not only hung up to be connected anew.
    bool ended() const noexcept { return ended_; }

    // Goes on with the connection of another session. Preconditions: it has hung up its own, and
    // both have the same home.
    error_code continue_with(session& fresh) noexcept
    {
        fresh.socket->close();
        handle_ = std::move(fresh.handle_);
        notices.renew();
        notices.attach(handle());
        statements.clear();
        refused = false;
        reset_due.reset();
        return socket->watch(PQsocket(handle()));
    }

    // After a reset. Its old user's are nobody's now.
    void as_new() noexcept
    {
        reset_due.reset();
        notices.forget();
        while (auto* const late = PQnotifies(handle()))
            PQfreemem(late);
    }

    // From here to enter() it belongs to no context. Preconditions: no operation is in progress.
    void leave() noexcept
    {
        socket.reset();
        home_ = {};
    }

    void enter(const asio::any_io_executor& executor, const context_ref& home)
    {
        socket.emplace(executor, home);
        home_ = home;
    }

    // In a forked child: the goodbye, and what TLS adds to it, must not reach the parent's peer.
    void abandon() noexcept
    {
        if (closed())
            return;
        if (socket)
            socket->mute();
        if (!loopsafe::detail::mute_descriptor(PQsocket(handle_.get())))
            (void)handle_.release(); // out of descriptors: a leak is better than a goodbye
        close();
    }

    // The command tag of a statement that has run.
    void heard(std::string_view command) noexcept
    {
        statements.heard(command);
        ends.heard(command);
    }

    bool in_transaction() const noexcept
    {
        return PQtransactionStatus(handle_.get()) != PQTRANS_IDLE;
    }

    notice_sink notices;
    std::optional<watched_socket> socket; // while it is in a context
    prepared_statements statements;

    bool busy = false;    // an operation is in progress
    bool broken = false;  // an operation was aborted: the session can only be closed
    bool refused = false; // the server has answered a statement with an error
    bool used = false;    // a statement has run since the session was new

    // If set, it still has the state of its last user, and nothing may reach it before a reset:
    // that goes along with the first statement, and may take so long.
    std::optional<std::chrono::milliseconds> reset_due;
    std::shared_ptr<const settings> origin; // to connect anew, where the reset fails

    // What is still to come, in pipeline mode.
    struct unanswered {
        bool reset = false; // first of all
        std::size_t syncs = 0;
    } unanswered;

    std::uint64_t turn = 0; // the number of leases that have ended
    transaction_ends ends;

    std::chrono::milliseconds cancel_timeout{}; // 0: a cancelled operation is aborted

private:
    context_ref home_;
    connection_handle handle_;
    bool ended_ = false;
};

// The session, for an operation that may begin when its caller no longer has the lease.
class session_in_turn {
public:
    session_in_turn(std::shared_ptr<session> s) noexcept
        : session_(std::move(s)), turn_(session_ != nullptr ? session_->turn : 0)
    {
    }

    const std::shared_ptr<session>& get() const noexcept { return session_; }

    // Preconditions: there is one.
    void require(const asio::any_io_executor& asking, const char* operation,
                 const std::source_location& where) const
    {
        loopsafe::detail::require_home(session_->home(), asking, "postgres connection", operation,
                                       where);
        if (session_->turn == turn_)
            return;
        context_report report;
        report.code = loopsafe::errc::lease_expired;
        report.resource = "postgres connection";
        report.home = session_->home().info();
        report.operation = operation;
        report.used = where;
        report.advice = "await an operation before its lease ends";
        throw context_error(std::move(report));
    }

private:
    std::shared_ptr<session> session_;
    std::uint64_t turn_;
};

} // namespace loopsafe::postgres::detail

#endif
