// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_CONNECTOR_HPP
#define LOOPSAFE_POSTGRES_CONNECTOR_HPP

#include <loopsafe/pool/connector.hpp>
#include <loopsafe/postgres/connection.hpp>
#include <loopsafe/postgres/detail/handshake.hpp>
#include <loopsafe/postgres/detail/parked_session.hpp>
#include <loopsafe/postgres/diagnostics.hpp>
#include <loopsafe/tcp/detail/probe.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>

namespace loopsafe::postgres {

/// When a used session is reset to the state of a new one (DISCARD ALL).
///
/// Settings, temporary tables, prepared statements, cursors, LISTEN, advisory locks and the current
/// values of sequences belong to the session. Any statement can change them, even a SELECT through
/// the functions that it calls, so the command does not show it.
enum class reset_session {
    if_used, ///< before its next use, if a statement has run
    always,  ///< before every reuse
    never    ///< the next user gets the session's state, prepared statements included
};

/// Options in addition to the connection string.
///
/// Trivially copyable, because GCC 12 destroys other aggregates twice if they are made in the same
/// expression as a `co_await`.
struct connector_options {
    reset_session reset = reset_session::if_used;

    /// Whether a reset is sent together with the first statement of the next lease, so that it
    /// costs no round trip of its own. It still has one where the pool has a probe due, with
    /// servers that would undo it if the statement fails (before 14.5, 13.8, 12.12, 11.17 and
    /// 10.22), and for `connection::ready()`.
    /// If the server refuses the reset, it skips the statement, and the session goes on with a new
    /// connection, which the pool does not count; the statement is sent there. If the connection is
    /// lost before the reset is answered, or that takes longer than the pool's `connect_timeout`,
    /// the statement fails in `stage::reset` (`errc::connection_lost`, or the cause) and is not
    /// repeated: it may have run.
    /// Set it to false behind a pooler that may give the two to different servers, or does not know
    /// pipelines. PgBouncer sends both to one.
    bool reset_with_statement = true;

    /// Whether a connection may be reused after the server has answered one of its statements with
    /// an error, such as unique_violation. An error leaves nothing behind but the state of the
    /// session, as any statement does; false costs a new connection for each.
    bool reuse_after_error = true;

    /// Whether a statement that a session runs again is prepared on the server (see `statement`). A
    /// reset drops prepared statements; with `reset_session::never` they are kept from one user of
    /// a pooled session to the next, like all other state.
    /// Set it to false behind a pooler that changes the server between transactions, unless the
    /// pooler supports prepared statements, as PgBouncer does since 1.21.
    bool prepared = true;

    /// How many statements a session keeps prepared; the least recently used are dropped.
    std::size_t max_prepared = 100;

    /// How long a cancelled statement may take to end, counted from the cancel request; after that,
    /// the connection can only be closed. 0: no request is sent, and the server continues with the
    /// statement for as long as it takes.
    std::chrono::milliseconds cancel_timeout = std::chrono::seconds(5);
};

/// Makes, probes and resets connections to PostgreSQL: a `loopsafe::connector`.
///
/// Thread safety: shared objects safe; copies share their state.
class connector {
public:
    using connection_type = connection;
    using handle_type = detail::parked_session;

    static constexpr bool frames_messages = true;

    /// Takes a connection string or URI, like libpq. Service file, environment (PGHOST, ...) and
    /// password file are used, and TLS as libpq offers it (`sslmode`, ...).
    ///
    /// Unless the string sets them, it adds `gssencmode=disable`, which saves a round trip,
    /// `client_encoding=UTF8` and `fallback_application_name=loopsafe`. The pool's
    /// `connect_timeout` applies to the whole; libpq's, 3 s by default, to each of several hosts or
    /// addresses but the last.
    /// `on_notice` is called for every notice; without it notices are dropped, never printed.
    /// Errors: `errc::bad_conninfo` in `stage::configure`, with the name of the invalid part.
    explicit connector(const std::string& conninfo, connector_options options = {},
                       notice_handler on_notice = {});

    /// Makes a connection whose objects live on `executor`.
    ///
    /// Host names are looked up by Asio's resolver, not by libpq, which would block; each address
    /// is then tried in order. libpq computes the password's hash on the context, in as many
    /// rounds as the server asks for: connect only to servers that may keep it busy for that long.
    /// Context: that of `executor`; on another one, `context_error`.
    /// Per-operation cancellation: terminal. It throws an `error` with
    /// `boost::asio::error::operation_aborted`, and the stage that was reached.
    /// Errors: `error`: with the SQLSTATE if the server refuses, with the `errno` if a socket
    /// fails.
    boost::asio::awaitable<connection>
    connect(boost::asio::any_io_executor executor,
            std::source_location where = std::source_location::current()) const;

    /// Whether every operation begun has completed without error (see
    /// `connector_options::reuse_after_error`), no result is left unread, and no transaction is
    /// open.
    bool is_clean(const connection& conn) const noexcept;

    /// Called when a lease has ended: operations that its holder made and never awaited are refused
    /// (`lease_expired`), instead of running in the next lease.
    void returned(connection& conn) const noexcept;

    /// Whether an idle connection still seems alive. Consumes messages such as a changed setting; a
    /// connection on which the server has announced a shutdown counts as dead.
    /// Complexity: one system call for a connection to which nothing was sent.
    bool probe(connection& conn) const noexcept;

    /// Whether anything has come since the last answer, perhaps the end: looked at before every
    /// reuse, since an administrator or a time-out of the server may end an idle session.
    /// Complexity: one system call.
    bool needs_probe(const connection& conn) const noexcept;

    /// Whether the session must be reset before its next use, according to
    /// `connector_options::reset`.
    bool needs_reset(const connection& conn) const noexcept;

    /// Resets the session to the state of a new one. Complexity: one round trip.
    boost::asio::awaitable<void> reset(connection& conn) const;

    /// Has the reset go along with the next statement, within `limit`. False if that cannot be (see
    /// `connector_options::reset_with_statement`).
    bool postpone_reset(connection& conn, std::chrono::milliseconds limit) const noexcept;

    /// The session, with its settings and prepared statements, outside of any context.
    std::optional<handle_type> detach(connection& conn) const noexcept;

    /// Errors: those of the reactor, and running out of descriptors, as `system_error`.
    connection attach(handle_type&& handle, const boost::asio::any_io_executor& executor,
                      std::source_location where = std::source_location::current()) const;

    /// In a forked child: closes the descriptor; the parent's peer is sent nothing.
    void abandon(connection& conn) const noexcept;
    void abandon(handle_type& handle) const noexcept { handle.abandon(); }

private:
    struct shared {
        detail::settings settings;
        connector_options options;
        std::shared_ptr<const notice_handler> on_notice;
    };

    static boost::asio::awaitable<connection> open(std::shared_ptr<const shared> known,
                                                   boost::asio::any_io_executor executor,
                                                   std::source_location where);
    static boost::asio::awaitable<void> discard_all(std::shared_ptr<detail::session> s);

    std::shared_ptr<const shared> shared_;
};

} // namespace loopsafe::postgres

#include <loopsafe/postgres/impl/connector.hpp>

namespace loopsafe::postgres {

static_assert(std::is_trivially_copyable_v<connector_options>);
static_assert(loopsafe::connector<connector>);
static_assert(can_reset<connector>);
static_assert(can_postpone_reset<connector>);
static_assert(can_abandon<connector>);
static_assert(can_carry<connector>);

} // namespace loopsafe::postgres

#endif
