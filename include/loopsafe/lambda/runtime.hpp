// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_RUNTIME_HPP
#define LOOPSAFE_LAMBDA_RUNTIME_HPP

#include <loopsafe/lambda/detail/runtime_core.hpp>
#include <loopsafe/lambda/invocation.hpp>
#include <loopsafe/lambda/options.hpp>
#include <loopsafe/lambda/policy.hpp>
#include <loopsafe/lambda/response_writer.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace loopsafe::lambda {

/// Answers an event: a function of an `invocation&` that returns an `awaitable<std::string>`.
template <class F>
concept handler_function = std::same_as<std::invoke_result_t<std::decay_t<F>&, invocation&>,
                                        boost::asio::awaitable<std::string>>;

/// Answers an event while it goes on: a function of an `invocation&` and a `response_writer&` that
/// returns an `awaitable<void>`.
template <class F>
concept streaming_function =
    std::same_as<std::invoke_result_t<std::decay_t<F>&, invocation&, response_writer&>,
                 boost::asio::awaitable<void>>;

/// What `streamed()` makes.
template <class F>
struct streaming {
    F function;
};

/// A handler that writes its response while it makes it.
///
///     lambda::serve(lambda::streamed(
///         [](lambda::invocation& in, lambda::response_writer& out) -> asio::awaitable<void> {
///             co_await out.write("first ");
///             ...
///         }));
template <streaming_function F>
streaming<std::decay_t<F>> streamed(F&& function)
{
    return {std::forward<F>(function)};
}

namespace detail {

template <class F>
struct is_streaming : std::false_type {};
template <class F>
struct is_streaming<streaming<F>> : std::true_type {};

template <class F>
std::shared_ptr<any_handler> erase(F&& handler)
{
    using function = std::decay_t<F>;
    if constexpr (is_streaming<function>::value)
        return std::make_shared<streaming_handler<decltype(handler.function)>>(
            std::forward<F>(handler).function);
    else
        return std::make_shared<whole_handler<function>>(std::forward<F>(handler));
}

} // namespace detail

/// What a runtime serves: a `handler_function`, such as `json()` makes, or what `streamed()` makes.
template <class F>
concept handler = handler_function<F> || detail::is_streaming<std::decay_t<F>>::value;

/// The runtime of a function on AWS Lambda: takes events from the Runtime API, calls a handler for
/// each, and sends what that answers. The policy says on which contexts the handler runs.
///
/// Before each event every pool and client of the process is told that it may have been frozen
/// (`process_thawed()`), unless invocations run beside each other.
///
/// Thread safety: `stop()` is safe; else distinct objects safe, shared objects unsafe.
/// Source: AWS Lambda's documentation ("Using the Lambda runtime API for custom runtimes"), version
/// 2018-06-01 of the API.
template <runtime_policy Policy = context_kept>
class basic_runtime {
public:
    explicit basic_runtime(runtime_options options = {}) : core_(std::move(options)) {}

    /// The executor of the context that is kept, for pools whose home it is to be.
    boost::asio::any_io_executor get_executor()
        requires std::same_as<Policy, context_kept>
    {
        return core_.get_executor();
    }

    /// Serves events until the process is to end, and returns its exit code: 0 after SIGTERM or
    /// `stop()`, 1 if the Runtime API does not answer or refuses, 64 and 65 if a `snapshot_hook`
    /// failed. What went wrong is logged.
    ///
    /// Whatever a handler throws fails its invocation, and not the process: the service gets the
    /// names of the types, the texts, and what they were nested in. A handler that is still running
    /// `finish_before` its deadline is cancelled, and its invocation fails with
    /// `Runtime.HandlerTimeout`; so it does if it ignores that.
    ///
    /// `concurrent` copies the handler for each of its contexts.
    /// Errors: what moving the handler here throws; `bad_alloc` before it has begun.
    /// Preconditions: no `run()`, and no other `serve()`, is in progress on this thread.
    template <handler F>
    int serve(F&& handler)
    {
        auto erased = detail::erase(std::forward<F>(handler));
        if constexpr (std::same_as<Policy, context_kept>) {
            return core_.serve_on_kept(std::move(erased));
        } else if constexpr (std::same_as<Policy, context_per_invocation>) {
            return core_.serve_on_fresh(std::move(erased));
        } else {
            static_assert(std::copy_constructible<std::decay_t<F>>,
                          "each context has a handler of its own, so it must be copyable");
            return core_.serve_concurrently(std::move(erased));
        }
    }

    /// Ends `serve()`, as SIGTERM does: what runs is cancelled. Once is for good.
    /// Thread safety: safe.
    void stop() noexcept { core_.stop(); }

private:
    detail::runtime_core core_;
};

using runtime = basic_runtime<>;

/// Serves events with a `handler` on one context that is kept: see `basic_runtime::serve()`.
///
///     int main() { return lambda::serve(handler); }
template <handler F>
int serve(F&& handler, runtime_options options = {})
{
    return runtime(std::move(options)).serve(std::forward<F>(handler));
}

} // namespace loopsafe::lambda

#endif
