// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_LIFESPAN_HPP
#define LOOPSAFE_RUN_LIFESPAN_HPP

#include <loopsafe/context/ref.hpp>
#include <loopsafe/run/detail/own_coroutine.hpp>
#include <loopsafe/run/detail/scope.hpp>
#include <loopsafe/run/with_deadline.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe {

/// When the hooks of a `lifespan` run.
enum class lifespan_mode {
    once_per_context, ///< a start on a context where it has started does nothing
    per_invocation,   ///< each start starts everything
    off               ///< nothing runs
};

/// Hooks that start what a program needs, in order, and stop it in reverse.
///
///     lifespan app;
///     app.add("db", open_pool, close_pool).add("cache", warm_up);
///     co_await app.start();
///     // ...
///     co_await app.stop(2s);
///
/// It may stand at namespace scope and serve one context after the other, or several: each has its
/// own starts and stops. A context that dies forgets that it was started.
///
/// Thread safety: `add()` before all else; the rest is safe. On one context, one start or stop at a
/// time.
class lifespan {
public:
    using hook = std::function<boost::asio::awaitable<void>()>;

    explicit lifespan(lifespan_mode mode = lifespan_mode::once_per_context) noexcept : mode_(mode)
    {
    }
    lifespan(const lifespan&) = delete;
    lifespan& operator=(const lifespan&) = delete;

    /// Adds a pair of hooks; each may be empty. The name is told where the budget ends.
    /// Precondition: nothing has started yet.
    lifespan& add(std::string name, hook start, hook stop = {})
    {
        steps_.push_back({std::move(name), std::move(start), std::move(stop)});
        return *this;
    }

    /// Runs the start hooks, in order. If one fails, or is cancelled, the stop hooks of those
    /// before it run, in reverse, within `budget` from then.
    ///
    /// Errors: that of the hook, as it was thrown; that of a stop hook after it is rethrown at the
    /// end of `run()` or of the `runner`. `no_context` (as `context_error`).
    /// Cancellation: as the hooks are cancelled; the stop hooks are not.
    /// Exception safety: strong, as far as the hooks are each other's opposite.
    boost::asio::awaitable<void> start(std::chrono::milliseconds budget = std::chrono::seconds(1))
    {
        if (mode_ == lifespan_mode::off)
            co_return;
        const boost::asio::any_io_executor executor = co_await boost::asio::this_coro::executor;
        if (!begin_start(executor))
            co_return;
        std::exception_ptr error;
        std::size_t started = 0;
        try {
            for (; started != steps_.size(); ++started) {
                if (steps_[started].start)
                    co_await steps_[started].start();
            }
        } catch (...) {
            error = std::current_exception();
        }
        if (error == nullptr)
            co_return;
        const bool throws = co_await boost::asio::this_coro::throw_if_cancelled();
        co_await boost::asio::this_coro::throw_if_cancelled(false);
        end_stop(executor);
        std::exception_ptr further;
        try {
            further = co_await stop_uncancelled(executor, started, budget);
        } catch (...) { // no memory to begin
            further = std::current_exception();
        }
        co_await boost::asio::this_coro::throw_if_cancelled(throws);
        if (further != nullptr)
            detail::report_quietly(executor, further);
        std::rethrow_exception(error);
    }

    /// Runs the stop hooks, in reverse, if this context has started. All of them share one budget;
    /// one that takes longer is cancelled (terminal) and awaited, and those after it do not begin.
    /// `timed_out` says which it is.
    ///
    /// Errors: the first, which may be `timed_out`; others are rethrown at the end of `run()` or of
    /// the `runner`. One that fails does not keep the others from running. `bad_alloc`; before the
    /// first hook, none runs.
    /// Cancellation: none; one that comes meanwhile is thrown at the caller's next step.
    boost::asio::awaitable<void> stop(deadline budget)
    {
        const boost::asio::any_io_executor executor = co_await boost::asio::this_coro::executor;
        if (mode_ == lifespan_mode::off || !end_stop(executor))
            co_return;
        const bool throws = co_await boost::asio::this_coro::throw_if_cancelled();
        co_await boost::asio::this_coro::throw_if_cancelled(false);
        std::exception_ptr error;
        try {
            error = co_await stop_uncancelled(executor, steps_.size(), budget);
        } catch (...) { // no memory to begin
            error = std::current_exception();
        }
        co_await boost::asio::this_coro::throw_if_cancelled(throws);
        if (error != nullptr)
            std::rethrow_exception(error);
    }

    /// Whether it has started on the context of `executor`, and not stopped since.
    bool has_started(const boost::asio::any_io_executor& executor) const
    {
        const auto here = context_of(executor);
        const std::lock_guard lock(mutex_);
        for (const auto& each : started_) {
            if (each == here)
                return true;
        }
        return false;
    }

    lifespan_mode mode() const noexcept { return mode_; }

private:
    struct step {
        std::string name;
        hook start;
        hook stop;
    };

    bool begin_start(const boost::asio::any_io_executor& executor)
    {
        const auto here = context_of(executor);
        if (!here)
            throw context_error(detail::refusal({}, executor, "lifespan", "start", {},
                                                "start it on an io_context or a thread_pool"));
        const std::lock_guard lock(mutex_);
        std::erase_if(started_, [](const context_ref& each) { return !each.alive(); });
        for (const auto& each : started_) {
            if (each == here && mode_ == lifespan_mode::once_per_context)
                return false;
        }
        started_.push_back(here);
        return true;
    }

    // False if it has not started there.
    bool end_stop(const boost::asio::any_io_executor& executor)
    {
        const auto here = context_of(executor);
        const std::lock_guard lock(mutex_);
        for (auto each = started_.begin(); each != started_.end(); ++each) {
            if (*each == here) {
                started_.erase(each);
                return true;
            }
        }
        return false;
    }

    boost::asio::awaitable<void> stop_some(std::size_t count, deadline budget,
                                           std::exception_ptr* first)
    {
        const boost::asio::any_io_executor executor = co_await boost::asio::this_coro::executor;
        while (count != 0) {
            const auto& each = steps_[--count];
            if (!each.stop)
                continue;
            std::exception_ptr error;
            try {
                if (budget.left() == std::chrono::nanoseconds::zero())
                    detail::throw_timed_out(); // the hook may do something before it is a coroutine
                co_await with_deadline(budget, each.stop());
            } catch (const boost::system::system_error& e) {
                error = std::current_exception();
                if (e.code() == errc::timed_out)
                    error = std::make_exception_ptr(boost::system::system_error(
                        e.code(), "lifespan: stopping \"" + each.name + '"'));
            } catch (...) {
                error = std::current_exception();
            }
            if (error == nullptr)
                continue;
            if (*first == nullptr)
                *first = error;
            else
                detail::report_quietly(executor, error);
        }
    }

    // A coroutine of its own, without a slot: see with(). Precondition: throw_if_cancelled(false).
    boost::asio::awaitable<std::exception_ptr>
    stop_uncancelled(boost::asio::any_io_executor executor, std::size_t count, deadline budget)
    {
        std::exception_ptr first;
        auto own = stop_some(count, budget, &first);
        co_await detail::run_by_itself(executor, own);
        co_return first;
    }

    const lifespan_mode mode_;
    std::vector<step> steps_;
    mutable std::mutex mutex_;
    std::vector<context_ref> started_;
};

} // namespace loopsafe

#endif
