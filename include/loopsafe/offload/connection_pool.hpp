// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_CONNECTION_POOL_HPP
#define LOOPSAFE_OFFLOAD_CONNECTION_POOL_HPP

#include <loopsafe/offload/detail/pool.hpp>
#include <loopsafe/offload/lease.hpp>
#include <loopsafe/pool/connection_pool.hpp>

namespace loopsafe {

namespace detail {

// Its name stands in the compiler's error.
struct pass_no_io_context_since_a_pool_of_worker_threads_has_no_home {};

} // namespace detail

/// Connections for functions that block, leased to coroutines of any context.
///
///     loopsafe::connection_pool<postgres::connector, keep_alive_pool, thread_offload> db{how};
///     auto lease = co_await db.acquire();
///     auto rows = co_await lease.run([](auto& c) { return c.wait(c->query("select 1")); });
///
/// Connecting, resetting and the functions passed to `run()` run on worker threads; the connections
/// belong to no context of the caller. So nothing is refused, and a dying context closes no
/// connection. The price is a hop to another thread and back for each call. Everything else is as
/// with `on_context`; `max_size` applies to the whole pool. Thread safety: as with `on_context`.
template <class Connector, class PoolPolicy>
class connection_pool<Connector, PoolPolicy, thread_offload> {
    static_assert(sizeof(detail::checked_connector<Connector>) != 0);
    static_assert(connector<Connector>,
                  "the connector does not meet the concept loopsafe::connector");
    static_assert(pool_policy<PoolPolicy>,
                  "the policy does not meet the concept loopsafe::pool_policy");
    static_assert(
        PoolPolicy::has_home || !PoolPolicy::keeps_idle,
        "with thread_offload a connection belongs to no context, so a shelf for each context has "
        "no meaning: use keep_alive_pool or null_pool");
    using state = detail::offloaded_pool<Connector, PoolPolicy>;

public:
    using connector_type = Connector;
    using policy_type = PoolPolicy;
    using options = typename PoolPolicy::options;
    using lease_type = lease<Connector, PoolPolicy, thread_offload>;

    /// A pool for any context, which may sit at namespace scope. `workers` are the threads for its
    /// calls, null for `worker_threads::shared()`; they may be destroyed before the pool.
    /// Errors: `bad_option` (as `system_error`), with the name of the invalid option.
    explicit connection_pool(Connector how, const options& limits = {},
                             worker_threads* workers = nullptr)
        : state_(std::make_shared<state>(std::move(how), limits, workers))
    {
    }

    /// It takes no context.
    template <detail::home_instead_of<Connector> Home,
              class Cure = detail::pass_no_io_context_since_a_pool_of_worker_threads_has_no_home>
    connection_pool(Home&&, Connector, const options& = {}, worker_threads* = nullptr) = delete;

    connection_pool(const connection_pool&) = delete; // pass a reference to it, or std::move it
    connection_pool(connection_pool&&) noexcept = default;
    connection_pool& operator=(connection_pool&& other) noexcept
    {
        std::swap(state_, other.state_);
        return *this;
    }

    /// Same as `close()`. Leases may outlive the pool.
    ~connection_pool()
    {
        if (state_ != nullptr)
            state_->pool.close();
    }

    /// A connection, for the coroutine that awaits this.
    ///
    /// Context: any. Cancellation and errors: as with `on_context`, plus the errors of `offload`.
    boost::asio::awaitable<lease_type>
    acquire(acquire_options what = {}, std::source_location where = std::source_location::current())
    {
        return lend(state_, what, where);
    }

    /// A connection, for every completion token.
    ///
    /// Completion signature: `void(error_code, lease_type)`.
    /// Context: that of the token's associated executor; a token without one needs the overload
    /// with an executor. Cancellation: terminal, partial and total. Errors: as `acquire()`.
    template <boost::asio::completion_token_for<void(error_code, lease_type)> Token =
                  boost::asio::deferred_t>
    auto async_acquire(Token&& token = {}, acquire_options what = {},
                       std::source_location where = std::source_location::current())
    {
        return boost::asio::async_initiate<Token, void(error_code, lease_type)>(
            initiate<false>(lend(state_, what, where), what.error), token);
    }

    /// The same, for a caller on the context of `executor`.
    template <std::convertible_to<boost::asio::any_io_executor> Executor,
              boost::asio::completion_token_for<void(error_code, lease_type)> Token>
    auto async_acquire(const Executor& executor, Token&& token, acquire_options what = {},
                       std::source_location where = std::source_location::current())
    {
        return boost::asio::async_initiate<Token, void(error_code, lease_type)>(
            initiate<true>(lend(state_, what, where), what.error, executor), token);
    }

    /// `close()`, then waits until the last lease has been returned.
    ///
    /// Completion signature: `void(error_code)`.
    /// Context and cancellation: as `async_acquire`; the pool stays closed.
    /// Errors: `close_timeout` if leases are still out after `limit`.
    template <boost::asio::completion_token_for<void(error_code)> Token = boost::asio::deferred_t>
    auto async_close(std::chrono::milliseconds limit, Token&& token = {},
                     std::source_location where = std::source_location::current())
    {
        return boost::asio::async_initiate<Token, void(error_code)>(
            initiate<false>(state::drain(state_, limit, where, "async_close"), nullptr), token);
    }

    /// The same for a coroutine, which gets the whole report. Errors: `pool_error`
    /// {`close_timeout`}.
    boost::asio::awaitable<void> drain(std::chrono::milliseconds limit,
                                       std::source_location where = std::source_location::current())
    {
        return state::drain(state_, limit, where, "drain");
    }

    /// As with `on_context`.
    void invalidate() noexcept
    {
        if (const auto kept = state_; kept != nullptr) // a hook may destroy the pool
            kept->pool.invalidate();
    }
    void thaw() noexcept
    {
        if (state_ != nullptr)
            state_->pool.thaw();
    }
    void close() noexcept
    {
        if (const auto kept = state_; kept != nullptr)
            kept->pool.close();
    }
    void on_event(std::function<void(const pool_event&)> hook)
    {
        if (state_ != nullptr)
            state_->pool.on_event(std::move(hook));
    }
    pool_stats stats() const { return state_ != nullptr ? state_->pool.stats() : pool_stats(); }
    std::vector<lease_holder> holders(std::size_t most = 16) const
    {
        return state_ != nullptr ? state_->pool.holders(most) : std::vector<lease_holder>();
    }

    /// None: an empty reference.
    context_ref home() const noexcept { return {}; }

private:
    template <bool Given>
    static auto initiate(auto operation, std::exception_ptr* place,
                         boost::asio::any_io_executor asking = {})
    {
        return [operation = std::move(operation), place, asking](auto&& handler) mutable {
            using handler_type = std::decay_t<decltype(handler)>;
            static_assert(
                Given || !detail::never_names_a_context<detail::handler_executor<handler_type>>,
                "this completion token names no context: use async_acquire(executor, token), or "
                "bind an executor to it");
            if constexpr (!Given)
                asking = detail::executor_of(handler);
            if (!asking)
                asking = boost::asio::system_executor();
            detail::spawn_for(
                asking, std::move(operation),
                [place](const std::exception_ptr& error) {
                    if (place != nullptr)
                        *place = error;
                    return detail::code_of(error);
                },
                std::forward<decltype(handler)>(handler));
        };
    }

    static boost::asio::awaitable<lease_type> lend(std::shared_ptr<state> from,
                                                   acquire_options what, std::source_location where)
    {
        if (from == nullptr)
            std::rethrow_exception(detail::pool_is_gone("acquire", where));
        auto inner = co_await state::acquire(from, what, where);
        co_return lease_type(std::make_shared<detail::offloaded_loan<Connector, PoolPolicy>>(
            from, std::move(inner)));
    }

    std::shared_ptr<state> state_;
};

} // namespace loopsafe

#endif
