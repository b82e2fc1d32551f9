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

/// When a session that was used is brought back to the state of a new one (DISCARD ALL).
///
/// Settings, temporary tables, prepared statements, cursors, LISTEN, advisory locks and the
/// current values of sequences belong to the session. Any statement can change them, a SELECT
/// through the functions that it calls, so the command's name tells nothing.
enum class reset_session {
    if_used, ///< before its next use, if a statement has run; one round trip
    always,  ///< before every reuse
    never    ///< the next user finds what the last one left, prepared statements among it
};

/// What a connector can be told beside the connection string.
///
/// Trivially copyable, because GCC 12 destroys other aggregates twice when they are made in the
/// same expression as a `co_await`.
struct connector_options {
    reset_session reset = reset_session::if_used;

    /// Whether a connection may be used again after the server has answered one of its statements
    /// with an error. Between messages it is all the same, so this is safe where the session's
    /// state is reset; it saves a new connection after each unique_violation, say.
    bool reuse_after_error = false;

    /// Whether a statement that a session runs again is prepared on the server (see `statement`). A
    /// reset ends that: with `reset_session::never`, statements stay prepared from one user of a
    /// pooled session to the next, and so does all else.
    /// Say false behind a pooler that changes the server from one transaction to the next, unless
    /// it knows of prepared statements, as PgBouncer does from 1.21 on.
    bool prepared = true;

    /// How many statements a session keeps prepared; those used least recently make room.
    std::size_t max_prepared = 100;

    /// How long a cancelled statement may take to end, from the request to cancel it on; after
    /// that, the connection is good for nothing. 0: the server is not asked, and goes on with the
    /// statement for as long as it takes.
    std::chrono::milliseconds cancel_timeout = std::chrono::seconds(5);
};

/// Makes, probes and resets connections to PostgreSQL: a `loopsafe::connector`.
///
/// Thread safety: shared objects safe; copies share what they know.
class connector {
public:
    using connection_type = connection;
    using handle_type = detail::parked_session;

    static constexpr bool frames_messages = true;

    /// Takes a connection string or URI, as libpq does; service file, environment (PGHOST, ...)
    /// and password file are honoured, and so is TLS as libpq offers it (`sslmode`, ...).
    ///
    /// Where the string says nothing else, it adds `gssencmode=disable`, which saves a round trip,
    /// `client_encoding=UTF8` and `fallback_application_name=loopsafe`. `connect_timeout` is for
    /// those who wait for libpq; here, the deadline is the pool's.
    /// `on_notice` hears of every notice; without it notices are dropped, never printed.
    /// Errors: `errc::bad_conninfo` in `stage::configure`, with the name of what is wrong.
    explicit connector(const std::string& conninfo, connector_options options = {},
                       notice_handler on_notice = {});

    /// Makes a connection whose objects live on `executor`.
    ///
    /// Host names are looked up by Asio's resolver, not by libpq, which would block; each address
    /// is then tried in order. The password's hash is computed on the context, as libpq does it.
    /// Context: that of `executor`; from another one, `context_error`.
    /// Per-operation cancellation: terminal. It throws an `error` with
    /// `boost::asio::error::operation_aborted`, and its stage says how far it had come.
    /// Errors: `error`; where the server refuses, with the SQLSTATE; where a socket fails, with its
    /// `errno`.
    boost::asio::awaitable<connection>
    connect(boost::asio::any_io_executor executor,
            std::source_location where = std::source_location::current()) const;

    /// Whether every operation begun on it has completed without error (see
    /// `connector_options::reuse_after_error`), no result is left unread, no transaction is open.
    bool is_clean(const connection& conn) const noexcept;

    /// Whether an idle connection still seems alive. Takes what the server sent unasked, such as
    /// a changed setting; a connection that was told of a shutdown counts as dead.
    /// Complexity: one system call for a connection to which nothing was sent.
    bool probe(connection& conn) const noexcept;

    /// Whether the session must be reset before its next use, as `connector_options::reset` says.
    bool needs_reset(const connection& conn) const noexcept;

    /// Brings the session to the state of a new one. Complexity: one round trip.
    boost::asio::awaitable<void> reset(connection& conn) const;

    /// The session, with its settings and prepared statements as they are, outside of any context.
    std::optional<handle_type> detach(connection& conn) const noexcept;

    /// Errors: the reactor's, and running out of descriptors, as `system_error`.
    connection attach(handle_type&& handle, const boost::asio::any_io_executor& executor,
                      std::source_location where = std::source_location::current()) const;

    /// In a forked child: closes the descriptor, and the parent's peer hears nothing of it.
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
static_assert(can_abandon<connector>);
static_assert(can_carry<connector>);

} // namespace loopsafe::postgres

#endif
