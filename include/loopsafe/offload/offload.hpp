// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_OFFLOAD_HPP
#define LOOPSAFE_OFFLOAD_OFFLOAD_HPP

#include <loopsafe/context/ref.hpp>
#include <loopsafe/offload/worker_threads.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <span>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

namespace loopsafe {

/// The calls on a connection run on worker threads: an execution policy of `connection_pool`.
struct thread_offload {};

/// What cancelling a call does while its function runs. A call that still waits for a thread is
/// always withdrawn: its function never runs.
enum class on_cancel {
    /// The caller waits for the function to end, and gets what it gives.
    wait,
    /// The caller goes on at once with `operation_aborted`; the function runs to its end, keeps its
    /// thread until then, and what it gives is dropped.
    abandon
};

struct offload_options {
    /// Which threads; null: `worker_threads::shared()`. They may be destroyed while calls are under
    /// way.
    worker_threads* workers = nullptr;
    on_cancel cancelled = on_cancel::wait;
};

/// Lets an argument that only refers to something, such as a `string_view`, pass to a worker.
///
/// A promise that what it refers to outlives the function, also where the caller is gone by then.
template <class T>
struct borrowed {
    T value;
};
template <class T>
borrowed(T) -> borrowed<T>;

/// Whether a value of type T is only a reference to something that may be gone before a function
/// on another thread has ended. Specialise it for views of your own.
template <class T>
inline constexpr bool only_refers = std::is_reference_v<T>;
template <class Char, class Traits>
inline constexpr bool only_refers<std::basic_string_view<Char, Traits>> = true;
template <class T, std::size_t Extent>
inline constexpr bool only_refers<std::span<T, Extent>> = true;

namespace detail {

template <class T>
struct passed {
    using type = T&&;
};
template <class T>
struct passed<borrowed<T>> {
    using type = T&&;
};
template <class T>
using passed_t = typename passed<T>::type;

template <class F, class... Args>
concept takes_stop_token =
    std::invocable<std::decay_t<F>, std::stop_token, passed_t<std::decay_t<Args>>...>;

} // namespace detail

/// A function that may run on a worker, with copies of these arguments, or with a `std::stop_token`
/// before them.
template <class F, class... Args>
concept offloadable = std::invocable<std::decay_t<F>, detail::passed_t<std::decay_t<Args>>...> ||
                      detail::takes_stop_token<F, Args...>;

namespace detail {

template <class F, class... Args>
struct result_if_offloadable {};
template <class F, class... Args>
    requires offloadable<F, Args...>
struct result_if_offloadable<F, Args...> {
    using type = std::invoke_result_t<std::decay_t<F>, passed_t<std::decay_t<Args>>...>;
};
template <class F, class... Args>
    requires offloadable<F, Args...> && takes_stop_token<F, Args...>
struct result_if_offloadable<F, Args...> {
    using type =
        std::invoke_result_t<std::decay_t<F>, std::stop_token, passed_t<std::decay_t<Args>>...>;
};
template <class F, class... Args>
using offload_result_t = typename result_if_offloadable<F, Args...>::type;

template <class R>
struct offload_signature {
    using type = void(std::exception_ptr, R);
};
template <>
struct offload_signature<void> {
    using type = void(std::exception_ptr);
};
template <class F>
using offload_signature_t = typename offload_signature<offload_result_t<F>>::type;

} // namespace detail

/// Runs `fn(args...)`, which may block, on a worker thread, and gives what it gives.
///
///     auto text = co_await loopsafe::offload(read_file, path);
///
/// Function and arguments are copied or moved to the worker and destroyed there: the call may
/// outlive the caller. So arguments must be values; a reference needs `std::ref`, a view
/// `borrowed`, and both are then the caller's promise. What a lambda captures cannot be checked.
///
/// A function that takes a `std::stop_token` before its arguments is asked to stop when the call is
/// cancelled, and when the caller is destroyed.
///
/// Context: any that the coroutine may run on and that has locks (not one made with
/// `BOOST_ASIO_CONCURRENCY_HINT_UNSAFE`). Its death, before, during and after the function,
/// ends the caller as it ends every coroutine; the function runs to its end, and what it gives is
/// dropped. The worker touches the context only while it keeps it from dying.
/// Per-operation cancellation: whatever the coroutine's filter lets through (by default terminal).
/// See `on_cancel`; total ends only a call that still waits for a thread.
/// Errors: what `fn` throws; `offload_error` {`queue_full`, `workers_closed`, `would_deadlock`,
/// `no_thread`} and `no_context` (as `context_error`), after which `fn` has not run.
/// Complexity: one thread woken, and the caller's; nothing is allocated once it is warm, except for
/// a `std::stop_token`.
template <class F, class... Args>
    requires offloadable<F, Args...>
boost::asio::awaitable<detail::offload_result_t<F, Args...>> offload(F&& fn, Args&&... args);

/// The same, with options.
template <class F, class... Args>
    requires offloadable<F, Args...>
boost::asio::awaitable<detail::offload_result_t<F, Args...>> offload(offload_options what, F&& fn,
                                                                     Args&&... args);

/// The same for every completion token. Arguments are what the function captures.
///
/// Completion signature: `void(std::exception_ptr, R)`, without `R` where `fn` gives nothing; `R`
/// is default-constructible.
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

} // namespace loopsafe

#include <loopsafe/offload/impl/offload.hpp>

#endif
