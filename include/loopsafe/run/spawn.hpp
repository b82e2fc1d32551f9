// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_SPAWN_HPP
#define LOOPSAFE_RUN_SPAWN_HPP

#include <loopsafe/async/detail/is_cancellation.hpp>
#include <loopsafe/context/local.hpp>
#include <loopsafe/run/detail/task_list.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <concepts>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace loopsafe {
namespace detail {

// The background tasks of one context.
class background_tasks {
    // Shared, since a handler may be destroyed after everything that is local to its context.
    struct list {
        std::mutex mutex;
        task_list tasks;
        std::exception_ptr first_error;
        bool cancelled = false;
        bool ending = false;
    };

public:
    template <class Executor> // a template, so that only users of spawn() pay for compiling it
    void spawn(const Executor& executor, asio::awaitable<void> task)
    {
        if (auto place = entry::into(list_)) {
            auto running = run_cancellable(std::move(task), place->self());
            asio::co_spawn(executor, std::move(running), *std::move(place));
        }
    }

    // Cancels all of them, and lets none begin until it is destroyed: one that replaces itself must
    // end, too. Preconditions: the context is not being run.
    class ending {
    public:
        explicit ending(background_tasks& tasks) : list_(*tasks.list_)
        {
            std::unique_lock lock(list_.mutex);
            list_.cancelled = list_.ending = true;
            for (auto* task = list_.tasks.first(); task != nullptr; task = list_.tasks.next()) {
                lock.unlock();
                task->emit(asio::cancellation_type::terminal);
                lock.lock();
            }
        }
        ending(const ending&) = delete;
        ~ending()
        {
            const std::lock_guard lock(list_.mutex);
            list_.ending = false;
        }

    private:
        list& list_;
    };

    bool empty() const
    {
        const std::lock_guard lock(list_->mutex);
        return list_->tasks.empty();
    }

    // An error that nobody else is told of.
    void report(const std::exception_ptr& error)
    {
        const std::lock_guard lock(list_->mutex);
        if (list_->first_error == nullptr)
            list_->first_error = error;
    }

    std::exception_ptr take_error() noexcept { return std::exchange(list_->first_error, nullptr); }

private:
    // The completion handler of a task, in the list for as long as it exists: a task that is
    // destroyed, or never started, leaves the list like one that ends. It has a slot rather than a
    // binder for one: through that, Boost 1.81 emits later, when the signal may be gone.
    class entry {
    public:
        using cancellation_slot_type = asio::cancellation_slot;

        // Nothing while the tasks are being ended.
        static std::optional<entry> into(const std::shared_ptr<list>& tasks)
        {
            auto self = std::make_unique<task_list::task>(std::source_location());
            const std::lock_guard lock(tasks->mutex);
            if (tasks->ending)
                return std::nullopt;
            tasks->tasks.add(*self);
            return entry(tasks, std::move(self));
        }
        entry(entry&&) noexcept = default;
        entry& operator=(entry&&) = delete;
        ~entry()
        {
            if (list_ == nullptr)
                return;
            const std::lock_guard lock(list_->mutex);
            list_->tasks.take_out(*self_);
        }

        cancellation_slot_type get_cancellation_slot() const noexcept { return self_->slot(); }
        cancellable& self() const noexcept { return *self_; }

        void operator()(const std::exception_ptr& error) const
        {
            const std::lock_guard lock(list_->mutex);
            if (error != nullptr && list_->first_error == nullptr &&
                !(list_->cancelled && is_cancellation(error)))
                list_->first_error = error;
        }

    private:
        entry(std::shared_ptr<list> tasks, std::unique_ptr<task_list::task> self) noexcept
            : list_(std::move(tasks)), self_(std::move(self))
        {
        }

        std::shared_ptr<list> list_;
        std::unique_ptr<task_list::task> self_; // destroyed without the lock
    };

    const std::shared_ptr<list> list_ = std::make_shared<list>();
};

} // namespace detail

/// Starts a background task on the context of `executor`.
///
/// At the end of `run` or of a `runner` the task is cancelled (terminal) and awaited; its first
/// error, other than that cancellation, is rethrown there. A task that is spawned meanwhile, by
/// what ends, is destroyed before it begins. A coroutine started with `co_spawn(..., detached)` is
/// neither cancelled nor awaited: it is only destroyed.
///
/// Errors: `no_context` (as `context_error`). Exception safety: strong; the task is destroyed.
/// Thread safety: safe.
template <std::convertible_to<boost::asio::any_io_executor> Executor>
void spawn(const Executor& executor, boost::asio::awaitable<void> task,
           std::source_location where = std::source_location::current())
{
    context_local<detail::background_tasks>::in(executor, where).spawn(executor, std::move(task));
}

} // namespace loopsafe

#endif
