// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_TASK_SCOPE_HPP
#define LOOPSAFE_RUN_TASK_SCOPE_HPP

#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/run/detail/tasks.hpp>
#include <loopsafe/run/remote_task_scope.hpp>
#include <loopsafe/run/task_scope_options.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <concepts>
#include <functional>
#include <optional>
#include <type_traits>
#include <variant>

namespace loopsafe {

namespace detail {

template <class Result>
class tasks_with_body;

} // namespace detail

/// Where a task begins: a function without arguments that returns `awaitable<void>`.
template <class F>
concept task_function =
    std::same_as<std::invoke_result_t<std::decay_t<F>&>, boost::asio::awaitable<void>>;

/// Starts tasks that end before `with_tasks()` does. It lives as long as they do: a task may keep a
/// reference to it.
///
/// Thread safety: none; it is used on the executor of `with_tasks()`.
class task_scope {
public:
    task_scope(const task_scope&) = delete;
    task_scope& operator=(const task_scope&) = delete;

    /// Starts `task()` as a coroutine that owns a copy of `task`, so its captures live as long as
    /// it does.
    ///
    /// False, and nothing is started, when the scope was cancelled or every task has ended.
    /// Errors: what copying the function, or the call, throws; `bad_alloc`. Exception safety:
    /// strong.
    template <task_function F>
    bool start(F&& task, std::source_location where = std::source_location::current())
    {
        return tasks_.start(std::forward<F>(task), where);
    }

    /// The same, but waits first while `task_scope_options::max_running` tasks run; the function
    /// that was given to `with_tasks()` does not count.
    ///
    /// Cancellation: as any operation; nothing is started then.
    template <task_function F>
    boost::asio::awaitable<bool>
    start_when_free(F&& task, std::source_location where = std::source_location::current())
    {
        static_assert(detail::safe_as_temporary<F>,
                      "GCC 12 would destroy the captures of this function twice: give the lambda a "
                      "name first and pass that");
        return start_later(tasks_, std::decay_t<F>(std::forward<F>(task)), where);
    }

    /// Cancels all tasks (terminal), and lets no more begin. `with_tasks()` still awaits them. That
    /// they end with `operation_aborted` is no error.
    void cancel() noexcept { tasks_.cancel(); }

    bool is_cancelled() const noexcept { return tasks_.is_cancelled(); }

    /// For other threads and contexts. Unlike this, it may be kept when the scope has ended.
    ///
    /// Errors: `bad_alloc`.
    remote_task_scope remote() const
    {
        return remote_task_scope(
            std::static_pointer_cast<detail::tasks>(tasks_.shared_from_this()));
    }

    /// How many tasks have not ended yet. Complexity: constant.
    std::size_t running() const noexcept { return tasks_.running() - tasks_.has_body; }

private:
    template <class Result>
    friend class detail::tasks_with_body;

    explicit task_scope(detail::tasks& of) noexcept : tasks_(of) {}

    template <class F>
    static boost::asio::awaitable<bool> start_later(detail::tasks& in, F task,
                                                    std::source_location where)
    {
        try {
            while (!in.is_cancelled() && !in.has_room()) {
                const auto [ec] = co_await in.wait_for_room();
                const boost::asio::cancellation_state caller =
                    co_await boost::asio::this_coro::cancellation_state;
                if (caller.cancelled() != boost::asio::cancellation_type::none)
                    throw boost::system::system_error(ec);
            }
            co_return in.start(std::move(task), where);
        } catch (...) {
            in.pass_on_room();
            throw;
        }
    }

    detail::tasks& tasks_;
};

namespace detail {

template <class Result>
class tasks_with_body final : public tasks {
public:
    using result_type = Result;

    using tasks::tasks;

    template <class Body>
    void begin(Body&& body)
    {
        begin_limits();
        start([b = std::move(body), this]() mutable { return run(b, this); }, {});
    }

    Result result()
    {
        end_limits();
        rethrow_error();
        if (has_expired())
            throw_timed_out();
        if (was_cancelled_by_caller() || (!std::is_void_v<Result> && !value_))
            throw_cancelled();
        if constexpr (!std::is_void_v<Result>)
            return std::move(*value_);
    }

private:
    template <class Body>
    static asio::awaitable<void> run(Body& body, tasks_with_body* self)
    {
        struct counted {
            explicit counted(std::size_t& n) : count(n) { count = 1; }
            ~counted() { count = 0; }
            std::size_t& count;
        };
        const counted as_body(self->has_body);
        if constexpr (std::is_void_v<Result>)
            co_await std::invoke(body, self->handle_);
        else
            self->value_.emplace(co_await std::invoke(body, self->handle_));
    }

    std::optional<std::conditional_t<std::is_void_v<Result>, std::monostate, Result>> value_;
    task_scope handle_{*this};
};

template <class T>
struct result_of_body;
template <class T>
struct result_of_body<asio::awaitable<T>> {
    using type = T;
};
template <class Body>
using body_result =
    typename result_of_body<std::invoke_result_t<std::decay_t<Body>&, task_scope&>>::type;

template <class Body>
asio::awaitable<body_result<Body>> run_tasks(Body body, task_scope_options options)
{
    using children = tasks_with_body<body_result<Body>>;
    auto begin = [b = std::move(body)](children& c) mutable { c.begin(std::move(b)); };
    return run_scope<children>(std::move(begin), options);
}

} // namespace detail

/// A function of a `task_scope&` that returns an `awaitable`.
template <class Body>
concept task_body = requires { typename detail::body_result<Body>; };

/// Runs `body(scope)`, which starts tasks, and ends when all of them have ended; then gives the
/// result of `body`.
///
///     co_await with_tasks([&](task_scope& tasks) -> asio::awaitable<void> {
///         for (const auto& each : documents)
///             tasks.start([&] { return index(each); });
///         co_return;
///     });
///
/// `body` is itself a task. When one fails, the others are cancelled (terminal) and awaited, and
/// its error is thrown as it is: see `task_scope_options`. What a cancellation ends is no error.
/// Whichever way this ends, also when the context is destroyed, no task outlives what it may refer
/// to in the caller.
///
/// Precondition: the caller's executor runs one handler at a time: it is that of a context with one
/// thread, or a strand.
/// Errors: the first error of a task, `task_lost` (as `system_error`) if one was destroyed before
/// it had ended; else `timed_out`, where there is a deadline; else `operation_aborted` if the
/// caller was cancelled, or if the scope was before `body` had a result to give; `bad_option` (as
/// `system_error`) before `body` begins; `bad_alloc`.
/// Cancellation: terminal, whatever the caller's filter lets through; the tasks are awaited.
/// Complexity: linear in the number of tasks.
template <task_body Body>
boost::asio::awaitable<detail::body_result<Body>> with_tasks(Body&& body,
                                                             task_scope_options options = {})
{
    static_assert(detail::safe_as_temporary<Body>,
                  "GCC 12 would destroy the captures of this function twice: give the lambda a "
                  "name first and pass that");
    return detail::run_tasks(std::decay_t<Body>(std::forward<Body>(body)), options);
}

} // namespace loopsafe

#endif
