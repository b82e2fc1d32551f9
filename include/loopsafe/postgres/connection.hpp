// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_CONNECTION_HPP
#define LOOPSAFE_POSTGRES_CONNECTION_HPP

#include <loopsafe/context/ref.hpp>
#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/postgres/batch.hpp>
#include <loopsafe/postgres/codec.hpp>
#include <loopsafe/postgres/detail/exchange.hpp>
#include <loopsafe/postgres/detail/run_pipeline.hpp>
#include <loopsafe/postgres/detail/transaction.hpp>
#include <loopsafe/postgres/result.hpp>
#include <loopsafe/postgres/statement.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <source_location>
#include <utility>
#include <vector>

namespace loopsafe::postgres {

/// One session with a PostgreSQL server.
///
/// It is made by a `connector`, usually through a pool. One operation at a time; texts are UTF-8.
///
/// Context: its home is the context that it was made on, and every operation must be awaited there.
/// Elsewhere, and after the home is gone, an operation throws `context_error` before it sends a
/// byte. Destroying and moving are safe anywhere, even while the home unwinds and after it; the
/// session is closed without waiting.
/// Per-operation cancellation: terminal. A cancelled operation throws an `error` with
/// `boost::asio::error::operation_aborted`. A statement of `query` or `execute` is also cancelled
/// on the server: the operation waits for it to end there, for up to
/// `connector_options::cancel_timeout`, and the session can be used afterwards. A worker thread
/// sends the cancel request, since libpq blocks for it. If it is cancelled a second time, or in any
/// other operation, the operation is aborted: the connection can then only be closed, and the
/// server may or may not finish the statement.
/// Errors: `error`, with its stage; `errc::busy` for a second operation at the same time;
/// `errc::unusable` after an aborted one.
/// Thread safety: distinct objects safe, shared objects unsafe.
class connection {
public:
    connection(connection&&) noexcept = default;
    connection& operator=(connection&& other) noexcept
    {
        close();
        session_ = std::move(other.session_);
        return *this;
    }
    ~connection() { close(); }

    /// Runs one statement and returns its rows.
    ///
    ///     auto rows = co_await conn.query("select $1::int + 1", 41);
    ///     int answer = rows[0][0].as<int>();
    ///
    /// Statement and parameters are copied before the call returns. Each parameter needs a `codec`;
    /// see the table there for the type that the server sees.
    /// Errors: the server's, with the SQLSTATE; the connection stays usable after those.
    /// `errc::bad_parameter` for a text with a NUL byte; `errc::unsupported` for COPY.
    template <encodable... Parameters>
    boost::asio::awaitable<result> query(statement sql, const Parameters&... values)
    {
        return detail::exchange(session_, std::move(sql),
                                {parameter_codec<Parameters>::encode(values)...}, stage::query);
    }

    /// Runs one statement and returns the number of affected rows.
    ///
    ///     auto gone = co_await conn.execute("delete from jobs where owner = $1", "me");
    ///
    /// Otherwise the same as `query`.
    template <encodable... Parameters>
    boost::asio::awaitable<std::uint64_t> execute(statement sql, const Parameters&... values)
    {
        return detail::affected_rows(query(std::move(sql), values...));
    }

    /// Every parameter needs a `codec`.
    template <class First, class... Others,
              class Cure = typename detail::cure_of_parameters<First, Others...>::type>
    boost::asio::awaitable<result> query(statement, const First&, const Others&...) = delete;
    template <class First, class... Others,
              class Cure = typename detail::cure_of_parameters<First, Others...>::type>
    boost::asio::awaitable<std::uint64_t> execute(statement, const First&,
                                                  const Others&...) = delete;

    /// Sends the statements of a batch together and reads their results while it sends, so that all
    /// of them take one round trip. Returns a result for each.
    ///
    ///     batch orders;
    ///     orders.add("insert into orders values ($1)", 7).add("select count(*) from orders");
    ///     auto results = co_await conn.pipeline(atomic, std::move(orders));
    ///
    /// All or none: a statement that fails undoes those before it, and those behind it do not run,
    /// unless they control a transaction themselves. Statements are not prepared.
    /// Per-operation cancellation: as `query`; while not all has been sent, the operation is
    /// aborted, and the server undoes what it has got.
    /// Errors: that of the statement that failed, with its place; the others as `query`. If the
    /// connection is lost, it is unknown whether the statements have run.
    /// Complexity: memory for all the results.
    boost::asio::awaitable<std::vector<result>>
    pipeline(atomic_t, batch statements,
             std::source_location where = std::source_location::current())
    {
        return detail::all_results(
            detail::run_pipeline(session_, std::move(statements.requests_), false, where));
    }

    /// The same, where each statement succeeds or fails by itself. Returns an outcome for each, in
    /// the order of the batch.
    ///
    /// A reset that is due (see `reset_session`) takes a round trip of its own.
    /// Per-operation cancellation: as `query`; the statement that runs at that moment is cancelled,
    /// and those behind it run all the same, as far as they have been sent.
    /// Errors: those of statements are in their outcomes. So is the loss of the connection, for
    /// those that it left without an answer: whether they have run is unknown.
    boost::asio::awaitable<std::vector<outcome>>
    pipeline(independent_t, batch statements,
             std::source_location where = std::source_location::current())
    {
        return detail::all_outcomes(
            detail::run_pipeline(session_, std::move(statements.requests_), true, where));
    }

    /// Runs `body(*this)`, which returns an `awaitable`, in a transaction: commits and returns the
    /// body's result, or rolls back and rethrows the body's exception.
    ///
    ///     co_await conn.transaction([&](auto& conn) -> boost::asio::awaitable<void> {
    ///         co_await conn.execute("update accounts set balance = balance - $1", 10);
    ///     });
    ///
    /// If the body is cancelled, or its frame is destroyed, the transaction stays open: the
    /// connection is then not clean, a pool closes it, and the server rolls back.
    /// Preconditions: the connection is not moved meanwhile; a body passed by name outlives the
    /// transaction, one passed as a temporary is moved into it.
    /// Errors: those of the body; `errc::transaction_open` inside another transaction;
    /// `errc::transaction_failed` if the body has swallowed an error, so that the server would roll
    /// back instead of committing, or has begun or ended a transaction itself (a "rollback and
    /// chain" behind a savepoint is not seen). If the connection is lost in `stage::transaction`,
    /// it is unknown whether the transaction was committed.
    template <class Body>
        requires detail::transaction_body<Body, connection>
    detail::awaitable_of<Body, connection>
    transaction(Body&& body, std::source_location where = std::source_location::current())
    {
        return transaction(statement("begin", where), std::forward<Body>(body));
    }

    /// The same, begun by a statement such as "begin isolation level serializable".
    template <class Body>
        requires detail::transaction_body<Body, connection>
    detail::awaitable_of<Body, connection> transaction(statement begin, Body&& body)
    {
        static_assert(loopsafe::detail::safe_as_temporary<Body>,
                      "GCC 12 would destroy the captures of this lambda twice: capture by "
                      "reference, or give the lambda a name first and pass that");
        return detail::in_transaction<Body>(*this, session_, std::move(begin),
                                            std::forward<Body>(body));
    }

    /// `body` is a coroutine.
    template <
        class Body,
        class Cure =
            detail::pass_a_coroutine_that_takes_a_connection_by_reference_and_returns_an_awaitable>
        requires(!detail::transaction_body<Body, connection>)
    boost::asio::awaitable<void> transaction(Body&&, std::source_location = {}) = delete;
    template <
        class Body,
        class Cure =
            detail::pass_a_coroutine_that_takes_a_connection_by_reference_and_returns_an_awaitable>
        requires(!detail::transaction_body<Body, connection>)
    boost::asio::awaitable<void> transaction(statement, Body&&) = delete;

    /// Makes a session that a pool has lent again as new, where it is not yet (see
    /// `reset_session`).
    ///
    ///     co_await conn.ready();
    ///     PQsendQuery(conn.native_handle(), "copy jobs from stdin");
    ///
    /// Only `native_handle()` needs it: a statement takes the reset along. If the reset fails, the
    /// session goes on with a new connection. Complexity: one round trip, or nothing.
    boost::asio::awaitable<void> ready(std::source_location where = std::source_location::current())
    {
        return detail::reset_now(session_, where);
    }

    /// Ends the session now. Later operations throw `errc::unusable`; one in progress is aborted.
    void close() noexcept
    {
        if (session_ != nullptr)
            session_->close();
    }

    /// Whether operations can be started, as far as this side knows.
    bool is_open() const noexcept
    {
        return session_ != nullptr && !session_->closed() && !session_->broken &&
               PQstatus(session_->handle()) == CONNECTION_OK;
    }

    /// The context that the connection was made on.
    context_ref home() const noexcept { return session_ ? session_->home() : context_ref(); }

    /// The process that serves this session, as in `pg_stat_activity.pid`; 0 when closed.
    int backend_pid() const noexcept
    {
        return session_ != nullptr ? PQbackendPID(session_->handle()) : 0;
    }

    /// For other uses, such as COPY, LISTEN and PQnotifies; null when closed, and while the session
    /// still has the state of its last user: `co_await ready()` first.
    ///
    /// The connection keeps ownership. libpq is in non-blocking mode; after using it, leave it
    /// between messages. Its descriptor may be polled, but belongs to libpq.
    PGconn* native_handle() const noexcept
    {
        return session_ != nullptr && !session_->reset_due ? session_->handle() : nullptr;
    }

private:
    friend class connector;
    explicit connection(std::shared_ptr<detail::session> s) noexcept : session_(std::move(s)) {}

    std::shared_ptr<detail::session> session_;
};

} // namespace loopsafe::postgres

#endif
