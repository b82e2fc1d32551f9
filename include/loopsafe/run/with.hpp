// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_WITH_HPP
#define LOOPSAFE_RUN_WITH_HPP

#include <loopsafe/async/detail/is_awaitable.hpp>
#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/run/detail/closing.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

namespace loopsafe {

/// What `with()` can close: a pool, an `http::client`, or a type of your own.
///
/// * `r.close()` closes at once, waits for nothing and needs no running context. It may be called
///   twice, and while `async_close()` is under way, which it then ends.
/// * `r.async_close(limit)`, for a type that keeps to a limit itself, or `r.async_close()` closes
///   properly. It gives an `awaitable<void>`, or anything else that a coroutine can `co_await`. A
///   type without either is closed by `close()` alone.
template <class T>
concept closable = requires(std::remove_reference_t<T>& r) { r.close(); };

/// Trivially copyable; see `task_scope_options`.
struct with_options {
    /// How long closing may take; then `close()` ends it. 0 or less: it is `close()` from the
    /// start. Also `never`.
    std::chrono::milliseconds close_within = std::chrono::seconds(1);
};

/// A function of a reference to the resource that returns an `awaitable`.
template <class Body, class Resource>
concept with_body = detail::is_awaitable<
    std::invoke_result_t<std::decay_t<Body>&, std::remove_reference_t<Resource>&>>;

/// Runs `body(resource)`, closes the resource, and then gives the result of `body`.
///
///     auto rows = co_await with(pool, use, {.close_within = 1s});
///
/// The resource is closed before this ends, whether `body` returns, throws or is cancelled: by
/// `async_close()`, once; and where that fails, or is not through in time, by `close()`. If the
/// coroutine is destroyed, as by a context that dies, it is closed by `close()`. An lvalue stays
/// the caller's; an rvalue is moved into the coroutine.
///
/// Precondition: as `with_tasks()`; for the resource, those of closing it.
/// Errors: that of `body`; else that of closing, if it took too long `timed_out` (as
/// `system_error`), or what the type itself says, as a pool does (`close_timeout`); else
/// `operation_aborted` if the caller was cancelled; `bad_alloc`. If both `body` and closing fail,
/// the second error is rethrown at the end of `run()` or of the `runner`, as that of a task of
/// `spawn()` is. Cancellation: `body` is cancelled as its caller is. Closing is not: a cancellation
/// that comes before or meanwhile is thrown afterwards, unless the caller has asked with
/// `throw_if_cancelled(false)` to hear of none.
template <closable Resource, with_body<Resource> Body>
auto with(Resource&& resource, Body&& body, with_options options = {})
{
    static_assert(detail::safe_as_temporary<Body>,
                  "GCC 12 would destroy the captures of this function twice: give the lambda a "
                  "name first and pass that");
    static_assert(detail::safe_as_temporary<Resource> ||
                      !std::is_aggregate_v<std::remove_reference_t<Resource>>,
                  "GCC 12 would destroy this resource twice: give it a name first and pass that");
    return detail::run_with<Resource, std::decay_t<Body>>(
        std::forward<Resource>(resource), std::decay_t<Body>(std::forward<Body>(body)),
        options.close_within);
}

} // namespace loopsafe

#endif
