// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_WITH_DEADLINE_HPP
#define LOOPSAFE_RUN_WITH_DEADLINE_HPP

#include <loopsafe/run/detail/timed_operation.hpp>

#include <type_traits>
#include <utility>

namespace loopsafe {

/// Runs the operation as a coroutine of its own, and gives its result. When the deadline passes the
/// operation is cancelled (terminal) and awaited, and this ends with `timed_out`.
///
///     auto page = co_await with_deadline(2s, client.get(url));
///
/// One whose deadline has passed before does not begin. One that ends with a value all the same,
/// or with an error other than `operation_aborted`, has ended: that is what this gives.
///
/// The limit counts on three clocks, so it holds over a freeze (see `basic_deadline`). A freeze is
/// noticed by the next deadline of the context, by its timer, or by `thaw()`. There is no task in
/// the background.
///
/// Precondition: as `with_tasks()`.
/// Errors: `timed_out` (as `system_error`); those of the operation; `operation_aborted` if the
/// caller was cancelled first; `no_context` (as `context_error`); `bad_alloc`.
/// Cancellation: terminal, whatever the caller's filter lets through; the operation is awaited.
/// Complexity: logarithmic in the number of deadlines of the context, which share one timer. It
/// allocates as `co_spawn()` does, for the coroutine, and for the deadline; Asio recycles some of
/// that memory.
template <class Clock = pool_clock, class T>
boost::asio::awaitable<T> with_deadline(std::type_identity_t<basic_deadline<Clock>> due,
                                        boost::asio::awaitable<T> operation)
{
    return detail::run_until_due<Clock, T>(due, std::move(operation));
}

/// Call it when the process may have been frozen, on the context of `executor`: deadlines that have
/// passed meanwhile pass now.
///
/// Errors: `no_context` (as `context_error`).
template <class Clock = pool_clock>
void thaw(const boost::asio::any_io_executor& executor)
{
    detail::due_list<Clock>::of(executor).thaw();
}

} // namespace loopsafe

#endif
