// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_OFFLOAD_HPP
#define LOOPSAFE_OFFLOAD_OFFLOAD_HPP

#include <loopsafe/offload/offloadable.hpp>
#include <loopsafe/offload/options.hpp>
#include <loopsafe/offload/worker_threads.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>

#include <concepts>
#include <exception>
#include <utility>

namespace loopsafe {

/// Runs `fn(args...)`, which may block, on a worker thread, and returns its result.
///
///     auto text = co_await loopsafe::offload(read_file, path);
///
/// Function and arguments are copied or moved to the worker and destroyed there: the call may
/// outlive the caller. So arguments must be values. A reference needs `std::ref`, a view needs
/// `borrowed`; with both, the caller guarantees the lifetime. A lambda's captures cannot be
/// checked.
///
/// If the function takes a `std::stop_token` before its arguments, a stop is requested when the
/// call is cancelled, and when the caller is destroyed.
///
/// Context: any that the coroutine may run on and that has locks (not one made with
/// `BOOST_ASIO_CONCURRENCY_HINT_UNSAFE`). If it dies, before, during or after the function, the
/// caller ends like every coroutine of that context; the function runs to its end, and its result
/// is dropped. The worker touches the context only while it keeps it alive.
/// Per-operation cancellation: whatever the coroutine's filter lets through (by default terminal).
/// See `on_cancel`; total ends only a call that still waits for a thread.
/// Errors: what `fn` throws; `offload_error` {`queue_full`, `workers_closed`, `would_deadlock`,
/// `no_thread`} and `no_context` (as `context_error`), after which `fn` has not run.
/// Complexity: two thread switches, to the worker and back; no allocation once warm, except for a
/// `std::stop_token`.
template <class F, class... Args>
    requires offloadable<F, Args...>
boost::asio::awaitable<detail::offload_result_t<F, Args...>> offload(F&& fn, Args&&... args);

/// The same, with options.
template <class F, class... Args>
    requires offloadable<F, Args...>
boost::asio::awaitable<detail::offload_result_t<F, Args...>> offload(offload_options what, F&& fn,
                                                                     Args&&... args);

/// Options come first, and what a function changes is passed by `std::ref`.
template <class F, class... Args, class Cure = detail::cure_of_offload<Args...>>
    requires detail::mistaken_for_offloadable<F, Args...>
boost::asio::awaitable<void> offload(F&&, Args&&...) = delete;
template <class F, class... Args, class Cure = detail::cure_of_offload<Args...>>
    requires detail::mistaken_for_offloadable<F, Args...>
boost::asio::awaitable<void> offload(offload_options, F&&, Args&&...) = delete;

/// The same for every completion token. Arguments are passed as captures of the function.
///
/// Completion signature: `void(std::exception_ptr, R)`, without `R` if `fn` returns nothing; `R` is
/// default-constructible.
/// Context: that of the token's associated executor; a token without one needs the overload with an
/// executor.
/// Per-operation cancellation: terminal, partial and total.
template <offloadable F, boost::asio::completion_token_for<detail::offload_signature_t<F>> Token =
                             boost::asio::deferred_t>
auto async_offload(F&& fn, Token&& token = {}, offload_options what = {});

/// The same, for a caller on the context of `executor`.
template <std::convertible_to<boost::asio::any_io_executor> Executor, offloadable F,
          boost::asio::completion_token_for<detail::offload_signature_t<F>> Token>
auto async_offload(const Executor& executor, F&& fn, Token&& token, offload_options what = {});

/// Options come last.
template <class... Others, class Cure = detail::pass_offload_options_after_the_token>
boost::asio::awaitable<void> async_offload(offload_options, Others&&...) = delete;

} // namespace loopsafe

#include <loopsafe/offload/impl/offload.hpp>

#endif
