// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_POLICY_HPP
#define LOOPSAFE_POOL_POLICY_HPP

#include <loopsafe/pool/clock.hpp>
#include <loopsafe/pool/clock_reading.hpp>
#include <loopsafe/pool/mutex.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

namespace loopsafe {

/// The constants of a policy.
///
/// * `has_home`: the pool is made with an executor and refuses every other context.
/// * `keeps_idle`: a clean connection that is returned is kept for reuse.
/// * `limit_per_context`: `max_size` applies to each context, not to the whole pool.
template <class P>
concept states_its_rules = requires {
    { P::has_home } -> std::convertible_to<bool>;
    { P::keeps_idle } -> std::convertible_to<bool>;
    { P::limit_per_context } -> std::convertible_to<bool>;
};

/// A connection is kept only for its own context, so a policy that keeps must limit per context.
template <class P>
concept counts_what_it_keeps = !P::keeps_idle || P::limit_per_context;

/// `P::carries_over`, if it exists and is true: idle connections are detached from a dying context
/// and parked for the next one. Such a policy has no home, keeps idle connections, and limits per
/// context.
template <class P>
concept carries_over = requires { requires P::carries_over; };

/// `typename P::mutex_type` has `lock()` and `unlock()`.
template <class P>
concept names_a_mutex = requires(typename P::mutex_type& mutex) {
    mutex.lock();
    mutex.unlock();
};

/// `typename P::clock_type` has `cheap()`, `read()` and a waitable `timer`, like `pool_clock`.
template <class P>
concept names_a_clock = requires {
    { P::clock_type::cheap() } noexcept -> std::same_as<std::chrono::nanoseconds>;
    { P::clock_type::read() } noexcept -> std::same_as<clock_reading>;
    typename P::clock_type::timer;
};

/// `typename P::options`, a trivially copyable aggregate with at least these members.
///
/// Trivially copyable, because GCC 12 destroys other aggregates twice when they are made in
/// the same expression as a `co_await`: `pool p{co_await this_coro::executor, how, {...}}`.
template <class P>
concept names_its_options =
    std::is_trivially_copyable_v<typename P::options> && requires(const typename P::options& o) {
        { o.max_size } -> std::convertible_to<std::size_t>;
        { o.max_waiting } -> std::convertible_to<std::size_t>;
        { o.acquire_timeout } -> std::convertible_to<std::chrono::milliseconds>;
        { o.connect_timeout } -> std::convertible_to<std::chrono::milliseconds>;
        { o.name } -> std::convertible_to<std::string_view>;
    };

/// `P::advice`: one line for the report of a refusal: what to do instead.
template <class P>
concept gives_advice = requires {
    { P::advice } -> std::convertible_to<const char*>;
};

/// What happens to a connection after use, and which contexts may share it.
template <class P>
concept pool_policy = states_its_rules<P> && counts_what_it_keeps<P> &&
                      (!carries_over<P> || (P::keeps_idle && !P::has_home)) && names_a_mutex<P> &&
                      names_a_clock<P> && names_its_options<P> && gives_advice<P>;

} // namespace loopsafe

#endif
