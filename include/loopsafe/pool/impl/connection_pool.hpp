// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_IMPL_CONNECTION_POOL_HPP
#define LOOPSAFE_POOL_IMPL_CONNECTION_POOL_HPP

#include <loopsafe/async/detail/asking.hpp>
#include <loopsafe/async/detail/completion.hpp>
#include <loopsafe/pool/detail/pool.hpp>

namespace loopsafe {
template <class Connector, class PoolPolicy>
connection_pool<Connector, PoolPolicy>::connection_pool(const detail::located_executor& home,
                                                        Connector how, const options& limits)
    requires pool_policy_with_a_home<PoolPolicy>
{
    auto fresh = std::make_unique<state>(std::move(how), limits);
    fresh->settle(home);
    life_ = &fresh->life();
    state_ = fresh.release();
}

template <class Connector, class PoolPolicy>
connection_pool<Connector, PoolPolicy>::connection_pool(Connector how, const options& limits)
    requires pool_policy_without_a_home<PoolPolicy>
    : state_(new state(std::move(how), limits)), life_(&state_->life())
{
}

template <class Connector, class PoolPolicy>
auto connection_pool<Connector, PoolPolicy>::acquire(std::source_location where)
    -> boost::asio::awaitable<lease_type>
{
    return acquire_from(late(), where);
}

template <class Connector, class PoolPolicy>
auto connection_pool<Connector, PoolPolicy>::acquire(acquire_options what,
                                                     std::source_location where)
    -> boost::asio::awaitable<lease_type>
{
    return acquire_from(late(), where, what);
}

template <class Connector, class PoolPolicy>
template <class... Options>
auto connection_pool<Connector, PoolPolicy>::acquire_from(detail::late_pool<state> pool,
                                                          std::source_location where,
                                                          Options... what)
    -> boost::asio::awaitable<lease_type>
{
    const auto* const context = detail::asking_context(co_await boost::asio::this_coro::executor);
    if (auto* const s = pool.get(); s != nullptr) [[likely]] {
        if (const auto fresh = s->take_fresh(context, where))
            co_return fresh;
    }
    co_return co_await acquire_slowly(pool, acquire_options(what...), where);
}

template <class Connector, class PoolPolicy>
auto connection_pool<Connector, PoolPolicy>::acquire_slowly(detail::late_pool<state> pool,
                                                            acquire_options what,
                                                            std::source_location where)
    -> boost::asio::awaitable<lease_type>
{
    auto executor = co_await boost::asio::this_coro::executor;
    auto* const s = pool.get();
    if (s == nullptr)
        std::rethrow_exception(detail::pool_is_gone("acquire", where));
    auto ticket = s->enter(executor, "acquire", where);
    co_return co_await s->acquire(std::move(ticket), std::move(executor), what.timeout, where);
}

template <class Connector, class PoolPolicy>
template <std::convertible_to<boost::asio::any_io_executor> Executor>
auto connection_pool<Connector, PoolPolicy>::try_acquire(const Executor& executor,
                                                         std::source_location where) noexcept
    -> lease_type
{
    // Copied only if it is of another type.
    const boost::asio::any_io_executor& asking = executor;
    if (state_ == nullptr)
        return {};
    return lease_type(state_->take_fresh(detail::asking_context(asking), where));
}

namespace detail {

// `Given`: the caller passed an executor, so the handler's executor does not determine the context.
template <class State, bool Given>
struct initiate_acquire {
    late_pool<State> pool;

    template <class Handler>
    void operator()(Handler&& handler, asio::any_io_executor asking, acquire_options what,
                    std::source_location where) const
    {
        using lease_type = typename State::lease_type;
        auto* const state = pool.get();
        static_assert(Given || State::has_home || !never_names_a_context<handler_executor<Handler>>,
                      "this completion token names no context, and a pool with this policy has no "
                      "home: use async_acquire(executor, token)");
        const auto take_fresh = [&](const asio::execution_context* context) {
            const auto fresh = state->take_fresh(context, where);
            if (fresh) {
                if (what.error != nullptr)
                    *what.error = nullptr;
                post_result(std::forward<Handler>(handler), asking, error_code(),
                            lease_type(fresh));
            }
            return static_cast<bool>(fresh);
        };
        if constexpr (!Given) {
            if (state != nullptr && take_fresh(context_of_handler(handler)))
                return;
            asking = executor_of(handler);
            if (state != nullptr)
                asking = state->asking(std::move(asking));
        }
        if (state != nullptr && take_fresh(asking_context(asking)))
            return;
        std::exception_ptr refused;
        try {
            if (state == nullptr)
                std::rethrow_exception(pool_is_gone("async_acquire", where));
            auto ticket = state->enter(asking, "async_acquire", where);
            spawn_for(
                asking, state->acquire(std::move(ticket), asking, what.timeout, where),
                [place = what.error](const std::exception_ptr& error) {
                    if (place != nullptr)
                        *place = error;
                    return code_of(error);
                },
                std::forward<Handler>(handler));
            return;
        } catch (const context_error&) {
            refused = std::current_exception();
        } catch (const pool_error&) {
            refused = std::current_exception();
        }
        if (what.error != nullptr)
            *what.error = refused;
        post_result(std::forward<Handler>(handler), asking, code_of(refused), lease_type());
    }
};

template <class State>
struct initiate_close {
    late_pool<State> pool;

    template <class Handler>
    void operator()(Handler&& handler, std::chrono::milliseconds limit,
                    std::source_location where) const
    {
        static_assert(State::has_home || !never_names_a_context<handler_executor<Handler>>,
                      "this completion token names no context, and a pool with this policy has no "
                      "home: bind an executor to it");
        auto* const state = pool.get();
        if (state == nullptr) { // so nobody holds a lease
            post_result(std::forward<Handler>(handler), executor_of(handler), error_code());
            return;
        }
        const auto asking = state->asking(executor_of(handler));
        std::exception_ptr refused;
        try {
            auto hold = state->retain(asking, "async_close", where);
            spawn_for(asking, state->drain(std::move(hold), asking, limit, where), code_of,
                      std::forward<Handler>(handler));
            return;
        } catch (const context_error&) {
            refused = std::current_exception();
        }
        post_result(std::forward<Handler>(handler), asking, code_of(refused));
    }
};

} // namespace detail

template <class Connector, class PoolPolicy>
template <boost::asio::completion_token_for<void(error_code, lease<Connector, PoolPolicy>)> Token>
auto connection_pool<Connector, PoolPolicy>::async_acquire(Token&& token, acquire_options what,
                                                           std::source_location where)
{
    return boost::asio::async_initiate<Token, void(error_code, lease_type)>(
        detail::initiate_acquire<state, false>{late()}, token, boost::asio::any_io_executor(), what,
        where);
}

template <class Connector, class PoolPolicy>
template <std::convertible_to<boost::asio::any_io_executor> Executor,
          boost::asio::completion_token_for<void(error_code, lease<Connector, PoolPolicy>)> Token>
auto connection_pool<Connector, PoolPolicy>::async_acquire(const Executor& executor, Token&& token,
                                                           acquire_options what,
                                                           std::source_location where)
{
    return boost::asio::async_initiate<Token, void(error_code, lease_type)>(
        detail::initiate_acquire<state, true>{late()}, token,
        boost::asio::any_io_executor(executor), what, where);
}

template <class Connector, class PoolPolicy>
template <boost::asio::completion_token_for<void(error_code)> Token>
auto connection_pool<Connector, PoolPolicy>::async_close(std::chrono::milliseconds limit,
                                                         Token&& token, std::source_location where)
{
    return boost::asio::async_initiate<Token, void(error_code)>(
        detail::initiate_close<state>{late()}, token, limit, where);
}

template <class Connector, class PoolPolicy>
auto connection_pool<Connector, PoolPolicy>::drain(std::chrono::milliseconds limit,
                                                   std::source_location where)
    -> boost::asio::awaitable<void>
{
    return drain_late(late(), limit, where);
}

template <class Connector, class PoolPolicy>
auto connection_pool<Connector, PoolPolicy>::drain_late(detail::late_pool<state> pool,
                                                        std::chrono::milliseconds limit,
                                                        std::source_location where)
    -> boost::asio::awaitable<void>
{
    auto executor = co_await boost::asio::this_coro::executor;
    auto* const s = pool.get();
    if (s == nullptr) // so nobody holds a lease
        co_return;
    auto hold = s->retain(executor, "drain", where);
    co_await s->drain(std::move(hold), std::move(executor), limit, where, "drain");
}

} // namespace loopsafe

#endif
