// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_SPAWN_HPP
#define LOOPSAFE_SPAWN_HPP

#include <loopsafe/context_local.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>

#include <concepts>
#include <exception>
#include <list>

namespace loopsafe {
namespace detail {

// The background tasks of one context.
class background_tasks {
public:
    template <class Executor> // a template, so that only those who spawn pay for compiling it
    void spawn(const Executor& executor, asio::awaitable<void> task)
    {
        std::unique_lock lock(mutex_);
        const auto self = signals_.emplace(signals_.end());
        lock.unlock();
        asio::co_spawn(executor, std::move(task),
                       asio::bind_cancellation_slot(
                           self->slot(), [this, self](const std::exception_ptr& error) {
                               const std::lock_guard guard(mutex_);
                               signals_.erase(self);
                               if (error != nullptr && first_error_ == nullptr &&
                                   !(cancelled_ && is_cancellation(error)))
                                   first_error_ = error;
                           }));
    }

    // Preconditions: the context is not being run.
    void cancel()
    {
        cancelled_ = true;
        for (auto task = signals_.begin(); task != signals_.end();) {
            auto& signal = *task++; // the task may end, and erase itself, in emit()
            signal.emit(asio::cancellation_type::terminal);
        }
    }

    bool empty() const
    {
        const std::lock_guard lock(mutex_);
        return signals_.empty();
    }

    std::exception_ptr take_error() noexcept { return std::exchange(first_error_, nullptr); }

private:
    static bool is_cancellation(const std::exception_ptr& error)
    {
        try {
            std::rethrow_exception(error);
        } catch (const boost::system::system_error& e) {
            return e.code() == asio::error::operation_aborted;
        } catch (...) {
            return false;
        }
    }

    mutable std::mutex mutex_;
    std::list<asio::cancellation_signal> signals_;
    std::exception_ptr first_error_;
    bool cancelled_ = false;
};

} // namespace detail

/// Starts a task in the background of the context of `executor`.
///
/// At the end of `run` or of a `runner` the task is cancelled (terminal) and awaited; its first
/// error, other than that cancellation, is rethrown there. A coroutine that was started with
/// `co_spawn(..., detached)` gets neither: it is only destroyed.
///
/// Errors: `no_context` (as `context_error`). Thread safety: safe.
template <std::convertible_to<boost::asio::any_io_executor> Executor>
void spawn(const Executor& executor, boost::asio::awaitable<void> task,
           std::source_location where = std::source_location::current())
{
    context_local<detail::background_tasks>::in(executor, where).spawn(executor, std::move(task));
}

} // namespace loopsafe

#endif
