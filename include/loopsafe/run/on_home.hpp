// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_ON_HOME_HPP
#define LOOPSAFE_RUN_ON_HOME_HPP

#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/context/detail/located_executor.hpp>
#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/run/detail/hop.hpp>

#include <concepts>
#include <source_location>
#include <type_traits>
#include <utility>

namespace loopsafe {

/// Whether a value of type T belongs to the context where it was made, so that it may not come back
/// from another one. Specialise it for your own types.
template <class T>
inline constexpr bool stays_at_home = detail::is_awaitable<T>;
template <template <class...> class Holder, class... T>
inline constexpr bool stays_at_home<Holder<T...>> =
    detail::is_awaitable<Holder<T...>> || (stays_at_home<T> || ...);
template <class Connector, class PoolPolicy>
inline constexpr bool stays_at_home<lease<Connector, PoolPolicy, on_context>> = true;
template <>
inline constexpr bool stays_at_home<tcp_stream> = true;
template <>
inline constexpr bool stays_at_home<tls_stream> = true;
template <>
inline constexpr bool stays_at_home<http::incoming_response> = true;
template <>
inline constexpr bool stays_at_home<postgres::connection> = true;

/// What has a home, or may have one: a pool, an `http::client`, a `context_bound`, a stream.
template <class T>
concept has_home = requires(const T& x) {
    { x.home() } -> std::convertible_to<context_ref>;
};

namespace detail {

// The home of a resource, and the place in the user's code that passed it.
struct located_home {
    template <has_home Resource>
    located_home(const Resource& resource,
                 std::source_location at = std::source_location::current())
        : home(resource.home()), where(at)
    {
    }

    context_ref home;
    std::source_location where;
};

template <class F, class... Args>
constexpr void check_hop()
{
    using call = hop_call<bound_function<std::decay_t<F>, std::decay_t<Args>...>>;
    static_assert((!only_refers<std::decay_t<Args>> && ...),
                  "an argument only refers to something that may be gone before the function ends: "
                  "pass a value, such as a std::string or a std::vector, or use loopsafe::borrowed "
                  "to guarantee that it lives long enough");
    static_assert(!only_refers<typename call::result_type>,
                  "the result only refers to something of the other context: return a value, such "
                  "as a std::string or a std::vector");
    static_assert(!stays_at_home<typename call::result_type>,
                  "the result belongs to the other context, as a lease does: use it there, and "
                  "return a value");
    static_assert(safe_as_temporary<F>,
                  "GCC 12 would destroy the captures of this function twice: give the lambda a "
                  "name first and pass that, or pass the captures as arguments");
    static_assert(((safe_as_temporary<Args> || !std::is_aggregate_v<Args>) && ...),
                  "GCC 12 would destroy this argument twice: give it a name first and pass that");
}

template <class F, class... Args>
auto bind_hop(F&& fn, Args&&... args)
{
    check_hop<F, Args...>();
    return bound_function<std::decay_t<F>, std::decay_t<Args>...>{std::forward<F>(fn),
                                                                  {std::forward<Args>(args)...}};
}

// Leads nowhere where the executor has no context.
inline way_home way_to(const asio::any_io_executor& executor, bool is_any)
{
    return named_context(executor) != nullptr ? way_home(bare(executor), is_any)
                                              : way_home(context_ref());
}

} // namespace detail

/// Runs `fn(args...)` on the context of `to`, an executor or an `io_context`, on that executor, and
/// comes back with what it gives. `fn` may be a coroutine, which is a task of that context, or a
/// function that does not block.
///
/// Function and arguments are moved to the other context and destroyed there: they may outlive the
/// caller. So arguments must be values, as those of `offload()`. A lambda's captures cannot be
/// checked. A result that belongs to the other context, such as a lease, does not compile.
///
/// Where the caller is on that executor already, this is a direct call.
///
/// Context: any that the coroutine may run on. Either may die. If that of `to` does,
/// `context_closed` is thrown; if that of the caller does, a coroutine is cancelled (terminal), and
/// what has not begun does not begin. Neither is kept from dying while `fn` runs. A context that
/// nobody runs is waited for.
/// Precondition: the context of `to` is alive when this is called, and so is the executor.
/// Errors: what `fn` throws; as `context_error`, `context_closed` if the other context is gone, or
/// goes before `fn` has ended, and `no_context` if there is none; `task_lost` (as `system_error`);
/// `bad_alloc`.
/// Cancellation: what has not begun does not begin, and the caller goes on at once. A coroutine is
/// cancelled (terminal) and awaited, a function is awaited. On a context that several threads run,
/// `to` must be a strand for that.
/// Complexity: a post to the other context and back; no allocation once warm, but for a strand.
template <class F, class... Args>
    requires offloadable<F, Args...>
auto hop_to(const detail::located_executor& to, F&& fn, Args&&... args)
{
    return detail::hop(detail::way_to(to.executor, false), false, {"hop_to", to.where},
                       detail::bind_hop(std::forward<F>(fn), std::forward<Args>(args)...));
}

/// The same on the home of a resource. One without a home, such as a pool with `null_pool`, is used
/// where the caller is, and so is one whose home is the caller's context.
///
///     int n = co_await on_home(pool, count_rows, std::ref(pool));
///
/// The resource must live as long as `fn` uses it, even if the caller is gone by then.
/// Precondition: something of this library lives on the home, as the resource does, or did.
template <class F, class... Args>
    requires offloadable<F, Args...>
auto on_home(detail::located_home of, F&& fn, Args&&... args)
{
    const bool anywhere = !of.home;
    return detail::hop(std::move(of.home), anywhere, {"on_home", of.where},
                       detail::bind_hop(std::forward<F>(fn), std::forward<Args>(args)...));
}

/// As `hop_to()`, from another context to that executor; but a direct call on every executor of the
/// same context.
template <class F, class... Args>
    requires offloadable<F, Args...>
auto on_home(const detail::located_executor& to, F&& fn, Args&&... args)
{
    return detail::hop(detail::way_to(to.executor, true), false, {"on_home", to.where},
                       detail::bind_hop(std::forward<F>(fn), std::forward<Args>(args)...));
}

} // namespace loopsafe

#endif
