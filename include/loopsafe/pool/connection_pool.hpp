// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CONNECTION_POOL_HPP
#define LOOPSAFE_POOL_CONNECTION_POOL_HPP

#include <loopsafe/pool/carry_over_pool.hpp>
#include <loopsafe/pool/event.hpp>
#include <loopsafe/pool/execution.hpp>
#include <loopsafe/pool/keep_alive_pool.hpp>
#include <loopsafe/pool/lease.hpp>
#include <loopsafe/pool/null_pool.hpp>
#include <loopsafe/pool/per_context_pool.hpp>
#include <loopsafe/pool/process.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

namespace loopsafe {

namespace detail {
template <class Connector, class Policy>
struct offloaded_pool;

// Their names stand in the compiler's error.
struct pass_an_io_context_first_or_choose_null_pool_or_per_context_pool {};
struct pass_the_io_context_first {};
struct pass_no_io_context_since_a_pool_with_this_policy_has_no_home {};
} // namespace detail

/// Options of a single acquire, in addition to the pool's.
struct acquire_options {
    /// Replaces the pool's `acquire_timeout`. 0 or less: do not wait.
    std::optional<std::chrono::milliseconds> timeout = {};
    /// For `async_acquire`: receives the exception that `acquire()` would throw, with its whole
    /// report. It must live until the operation completes.
    std::exception_ptr* error = nullptr;
};

template <class P>
concept pool_policy_with_a_home = pool_policy<P> && P::has_home;
template <class P>
concept pool_policy_without_a_home = pool_policy<P> && !P::has_home;

template <class Connector, class PoolPolicy, class ExecutionPolicy>
class connection_pool {
    static_assert(execution_policy<ExecutionPolicy>,
                  "the execution policy is loopsafe::on_context or loopsafe::thread_offload");
    static_assert(!std::same_as<ExecutionPolicy, thread_offload>,
                  "for thread_offload include <loopsafe/offloaded_connection_pool.hpp>");
};

/// Connections of one kind, leased only to coroutines that run on the right context.
///
/// The `Connector` determines how a connection is made; the `PoolPolicy` determines what happens to
/// it after use, and which contexts may share it. Common to all policies:
///
/// * Callers are served in the order in which they arrived; nobody overtakes a waiting caller.
/// * A clean connection that is returned goes straight to the first waiting caller. Of the idle
///   ones, the most recently used is taken first.
/// * Cancelling an acquire, at any moment, loses neither a connection nor a slot.
/// * No background task: limits are checked at each acquire.
/// * A connection is closed in its own context, or by the pool while it keeps that context alive.
///   None outlives its context; of one that `carry_over_pool` carries, only a handle does.
/// * An operation may begin after its pool has moved, and goes on there; if the pool is gone, it is
///   refused (`pool_closed`). A pool that was moved from is a closed one without connections.
///
/// Thread safety: distinct objects safe. Shared objects are also safe, except for destruction and
/// moving, and except with `no_mutex`. No lock is held while a connector connects, probes, resets
/// or closes, nor while a hook or a handler runs. Contexts that take and return what they keep do
/// not wait for each other: each has a lock of its own. A context must not be destroyed on one
/// thread while another still calls into it; the pool may be destroyed before, after or during
/// that.
///
/// A forked child leaves its parent's connections alone and makes its own, unless another thread
/// was inside the pool when the process forked: the child may find the lock taken for ever.
template <class Connector, class PoolPolicy>
class connection_pool<Connector, PoolPolicy, on_context> {
    static_assert(sizeof(detail::checked_connector<Connector>) != 0);
    static_assert(connector<Connector>,
                  "the connector does not meet the concept loopsafe::connector");
    static_assert(pool_policy<PoolPolicy>,
                  "the policy does not meet the concept loopsafe::pool_policy");
    static_assert(!carries_over<PoolPolicy> || can_carry<Connector>,
                  "carry_over_pool needs a connector that meets the concept loopsafe::can_carry "
                  "(static_assert that to see what is missing); otherwise use per_context_pool "
                  "or null_pool");
    using state = detail::pool_state<Connector, PoolPolicy>;

public:
    using connector_type = Connector;
    using policy_type = PoolPolicy;
    using options = typename PoolPolicy::options;
    using lease_type = lease<Connector, PoolPolicy>;

    /// A pool whose home is the context of `home`: an `io_context`, a `thread_pool`, or an executor
    /// of one.
    ///
    /// Preconditions: the context has not been destroyed.
    /// Errors: `no_context` (as `context_error`) if `home` names none; `bad_option` (as
    /// `system_error`), with the name of the invalid option.
    connection_pool(const detail::located_executor& home, Connector how, const options& limits = {})
        requires pool_policy_with_a_home<PoolPolicy>;

    /// A pool for any context, which may sit at namespace scope.
    /// Errors: `bad_option` (as `system_error`), with the name of the invalid option.
    explicit connection_pool(Connector how, const options& limits = {})
        requires pool_policy_without_a_home<PoolPolicy>;

    /// A pool with a home needs its context; another one takes none.
    template <class Cure = detail::pass_an_io_context_first_or_choose_null_pool_or_per_context_pool>
    connection_pool(Connector, const options& = {})
        requires pool_policy_with_a_home<PoolPolicy>
    = delete;
    template <detail::home_instead_of<Connector, options> Home,
              class Cure = detail::pass_the_io_context_first>
    connection_pool(Connector, Home&&, const options& = {})
        requires pool_policy_with_a_home<PoolPolicy>
    = delete;
    template <detail::home_instead_of<Connector> Home,
              class Cure = detail::pass_no_io_context_since_a_pool_with_this_policy_has_no_home>
    connection_pool(Home&&, Connector, const options& = {})
        requires pool_policy_without_a_home<PoolPolicy>
    = delete;

    connection_pool(const connection_pool&) = delete; // pass a reference to it, or std::move it
    connection_pool(connection_pool&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)),
          life_(std::exchange(other.life_, &detail::pool_life::of_none()))
    {
    }
    connection_pool& operator=(connection_pool&& other) noexcept
    {
        std::swap(state_, other.state_);
        std::swap(life_, other.life_);
        return *this;
    }

    /// Same as `close()`. Leases may outlive the pool; they close their connections when they end.
    ~connection_pool()
    {
        if (state_ != nullptr)
            state_->abandon_handle();
    }

    /// A connection, for the coroutine that awaits this.
    ///
    /// Context: the one the coroutine runs on. With `keep_alive_pool` it must be the pool's home;
    /// otherwise `wrong_context`, or `context_closed` if the home is gone.
    /// Per-operation cancellation: whatever the coroutine's filter lets through (by default
    /// terminal). Waiting, connecting or resetting then ends with `operation_aborted`.
    /// Errors: `context_error` {`wrong_context`, `context_closed`, `no_context`}; `pool_error`
    /// {`acquire_timeout`, `connect_timeout`, `queue_full`, `pool_closed`}; anything that the
    /// connector throws. After an error, the pool is unchanged.
    /// Complexity: constant for a warm acquire, which takes one lock and does not allocate on the
    /// heap. Any other also checks the age of this context's idle connections, and of parked ones.
    boost::asio::awaitable<lease_type>
    acquire(std::source_location where = std::source_location::current());

    /// The same, with options.
    boost::asio::awaitable<lease_type>
    acquire(acquire_options what, std::source_location where = std::source_location::current());

    /// A connection, for every completion token.
    ///
    /// Completion signature: `void(error_code, lease_type)`.
    /// Context: that of the token's associated executor. If the token has none (a plain callback,
    /// `use_future`), a pool with a home uses its home; the other pools need the overload with an
    /// executor.
    /// Per-operation cancellation: terminal, partial and total, all without side effects.
    /// Errors: as `acquire()`. An exception of a connector is passed as its `code()` if it is a
    /// `system_error`, otherwise as `connection_aborted`.
    template <boost::asio::completion_token_for<void(error_code, lease<Connector, PoolPolicy>)>
                  Token = boost::asio::deferred_t>
    auto async_acquire(Token&& token = {}, acquire_options what = {},
                       std::source_location where = std::source_location::current());

    /// The same, for a caller on the context of `executor`.
    template <
        std::convertible_to<boost::asio::any_io_executor> Executor,
        boost::asio::completion_token_for<void(error_code, lease<Connector, PoolPolicy>)> Token>
    auto async_acquire(const Executor& executor, Token&& token, acquire_options what = {},
                       std::source_location where = std::source_location::current());

    /// An idle connection that needs no probe, and no reset of its own, or an empty lease. Never
    /// waits, never connects.
    ///
    /// Preconditions: the caller runs on the context of `executor`.
    /// Errors: none; the lease is also empty if the context is not the pool's home.
    template <std::convertible_to<boost::asio::any_io_executor> Executor>
    lease_type try_acquire(const Executor& executor,
                           std::source_location where = std::source_location::current()) noexcept;

    /// Closes every idle or parked connection now, and every leased one when it is returned.
    void invalidate() noexcept
    {
        if (state_ != nullptr)
            state_->invalidate();
    }

    /// Closes every parked connection. Call it before a snapshot of the process is taken.
    /// Connections on the shelf of a living context stay open; `invalidate()` closes them, too.
    ///
    /// Needs no running context and does not wait. Thread safety: any thread.
    void drop_parked() noexcept
        requires carries_over<PoolPolicy>
    {
        if (state_ != nullptr)
            state_->drop_parked();
    }

    /// Call it when the process may have been frozen: idle connections must then pass the
    /// connector's probe before reuse.
    void thaw() noexcept
    {
        if (state_ != nullptr)
            state_->thaw();
    }

    /// Refuses every acquire from now on, including those that wait (`pool_closed`), and closes
    /// idle connections. Leases stay usable; their connections are closed when they are returned.
    ///
    /// Needs no running context and does not wait. Thread safety: any thread.
    void close() noexcept
    {
        if (state_ != nullptr)
            state_->close();
    }

    /// `close()`, then waits until the last lease has been returned.
    ///
    /// Completion signature: `void(error_code)`.
    /// Context: as for `async_acquire(token)`.
    /// Per-operation cancellation: terminal, partial and total; the pool stays closed.
    /// Errors: `close_timeout` if leases are still out after `limit`, at once if it is 0 or less;
    /// the context errors of `acquire()`.
    template <boost::asio::completion_token_for<void(error_code)> Token = boost::asio::deferred_t>
    auto async_close(std::chrono::milliseconds limit, Token&& token = {},
                     std::source_location where = std::source_location::current());

    /// The same for a coroutine, which gets the whole report: who still holds leases, acquired
    /// where.
    ///
    /// Context, cancellation: as `acquire()`; the pool stays closed.
    /// Errors: `pool_error` {`close_timeout`}; `context_error`.
    boost::asio::awaitable<void>
    drain(std::chrono::milliseconds limit,
          std::source_location where = std::source_location::current());

    /// Sets the hook for connects, failures, closes, refusals, time-outs, waits, uses and, with
    /// `carry_over_pool`, parked, adopted and dropped connections; see `pool_event`. With one, a
    /// release costs a second lock and the call.
    ///
    /// It is called on the thread where the event happens, with no lock held; its exceptions are
    /// ignored. It is not called while a context is destroyed, except with `carry_over_pool` for
    /// the connections that were idle there; it must not use that context. It may be called from
    /// within the call that it is about, so it must not destroy the context of that call's caller.
    /// Preconditions: nobody uses the pool yet.
    void on_event(std::function<void(const pool_event&)> hook)
    {
        if (state_ != nullptr)
            state_->on_event(std::move(hook));
    }

    /// A snapshot, of one context after the other where there are several. Complexity: linear in
    /// the number of contexts and connections.
    pool_stats stats() const { return state_ != nullptr ? state_->stats() : pool_stats(); }

    /// Who holds leases, acquired where, and for how long; at most `most`, the longest first.
    std::vector<lease_holder> holders(std::size_t most = 16) const
    {
        return state_ != nullptr ? state_->holders(most) : std::vector<lease_holder>();
    }

    /// The home, or an empty reference for policies without one.
    context_ref home() const noexcept { return state_ != nullptr ? state_->home() : context_ref(); }

private:
    template <class, class>
    friend struct detail::offloaded_pool;

    // The pool may be moved or destroyed before it begins.
    template <class... Options>
    static boost::asio::awaitable<lease_type>
    acquire_from(detail::late_pool<state> pool, std::source_location where, Options... what);
    // In a frame of its own: Asio does not recycle a large one.
    static boost::asio::awaitable<lease_type>
    acquire_slowly(detail::late_pool<state> pool, acquire_options what, std::source_location where);

    static boost::asio::awaitable<void> drain_late(detail::late_pool<state> pool,
                                                   std::chrono::milliseconds limit,
                                                   std::source_location where);

    detail::late_pool<state> late() const noexcept { return detail::late_pool<state>(*life_); }

    state* state_ = nullptr;
    const detail::pool_life* life_ = nullptr;
};

template <detail::home_source Home, class Connector>
connection_pool(Home&&, Connector) -> connection_pool<Connector>;
template <detail::home_source Home, class Connector>
connection_pool(Home&&, Connector, kept_connection_options) -> connection_pool<Connector>;
// For the constructors that say what is wrong.
template <connector Connector>
connection_pool(Connector, kept_connection_options = {}) -> connection_pool<Connector>;
template <connector Connector, detail::home_source Home>
connection_pool(Connector, Home&&, kept_connection_options = {}) -> connection_pool<Connector>;

} // namespace loopsafe

#include <loopsafe/pool/impl/connection_pool.hpp>

#endif
