// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_WORKER_CORE_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_WORKER_CORE_HPP

#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/offload/detail/blocked_signals.hpp>
#include <loopsafe/offload/detail/thread_end.hpp>
#include <loopsafe/offload/detail/worker_call.hpp>
#include <loopsafe/offload/worker_options.hpp>

#include <boost/config.hpp>

#include <algorithm>
#include <condition_variable>
#include <new>
#include <optional>
#include <string>
#include <thread>

namespace loopsafe::detail {

// Visible, since std::thread is: what one shared library starts, another's code may run.
class worker_core;
inline BOOST_SYMBOL_VISIBLE thread_local const worker_core* core_of_this_thread = nullptr;

// The state that the threads share. It lives until its owner, its threads and its callers are gone.
class worker_core : public list_node {
public:
    using unregister = void (*)(worker_core&) noexcept;

    // `forget` is called once, before it ends.
    worker_core(const worker_options& limits, unregister forget)
        : forget_(forget),
          max_threads_(limits.max_threads),
          max_queued_(limits.max_queued),
          idle_timeout_(limits.idle_timeout),
          name_(limits.name)
    {
    }

    bool runs_inline() const noexcept { return max_threads_ == 0; }
    const std::string& name() const noexcept { return name_; }

    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void drop_reference() noexcept
    {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            destroy();
    }

    // Runs the call on a thread and settles it, perhaps before this returns; or refuses it.
    void submit(worker_call& call) noexcept
    {
        call.add_reference();
        add_reference(); // the call may end, and its owner with it, before this returns
        bool start = false;
        std::optional<errc> why;
        {
            const std::lock_guard lock(mutex_);
            why = reason_to_refuse();
            if (why) {
                ++stats_.refused;
            } else {
                call.forks = fork_generation.load(std::memory_order_relaxed);
                queue_.push_back(call);
                ++stats_.queued;
                start = stats_.queued > stats_.idle && stats_.threads < max_threads_;
                if (start) {
                    ++stats_.threads;
                    ++alive_;
                }
            }
        }
        if (why) {
            refuse(call, *why);
        } else if (start) {
            start_thread();
        } else {
            work_.notify_one(); // without the lock, which the worker needs first
        }
        drop_reference();
    }

    // Without threads: true if the caller may run the function itself.
    bool enter_inline(worker_call& call) noexcept
    {
        const std::lock_guard lock(mutex_);
        if (closed_) {
            ++stats_.refused;
            call.refuse(errc::workers_closed);
            return false;
        }
        call.forks = fork_generation.load(std::memory_order_relaxed);
        ++stats_.running;
        return true;
    }

    void leave_inline(const worker_call& call) noexcept
    {
        const std::lock_guard lock(mutex_);
        if (is_of_this_process(call)) // the function may have forked
            --stats_.running;
        ++stats_.completed;
        ended_.notify_all();
    }

    // Whether the call was still waiting for a thread. The caller then owns its reference.
    bool withdraw(worker_call& call) noexcept
    {
        const std::lock_guard lock(mutex_);
        if (!call.linked())
            return false;
        call.unlink();
        if (is_of_this_process(call))
            --stats_.queued;
        return true;
    }

    // False in a forked child, for a call that was made before.
    static bool is_of_this_process(const worker_call& call) noexcept
    {
        return call.forks == fork_generation.load(std::memory_order_relaxed);
    }

    void close() noexcept
    {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            work_.notify_all();
        }
        refuse_queued(errc::workers_closed);
    }

    bool join(std::chrono::milliseconds limit) noexcept
    {
        close();
        if (is_current())
            return false;
        std::unique_lock lock(mutex_);
        return wait(ended_, lock, limit, [this] { return alive_ == 0 && stats_.running == 0; });
    }

    worker_stats stats() const
    {
        const std::lock_guard lock(mutex_);
        return stats_;
    }

    // No thread is in the middle of waking a caller, which takes locks and a pin, when a fork
    // happens.
    void before_fork() noexcept
    {
        std::unique_lock lock(mutex_);
        woken_.wait(lock, [this] { return waking_ == 0; });
        lock.release();
    }
    void after_fork() noexcept { mutex_.unlock(); }

    // The threads stay in the parent. One that forked is no longer one of them.
    void after_fork_in_child() noexcept
    {
        core_of_this_thread = nullptr;
        while (auto* call = queue_.pop_front())
            of_the_parent_.push_back(*call);
        stats_.threads = stats_.idle = stats_.running = stats_.queued = alive_ = 0;
        // Unchanged, they would count waiting threads that do not exist.
        new (&work_) std::condition_variable;
        new (&ended_) std::condition_variable;
        new (&woken_) std::condition_variable;
        mutex_.unlock();
    }

private:
    ~worker_core() = default;
    void destroy() noexcept
    {
        forget_(*this);
        delete this;
    }

    bool is_current() const noexcept { return core_of_this_thread == this; }

    std::optional<errc> reason_to_refuse() const noexcept
    {
        if (closed_)
            return errc::workers_closed;
        if (is_current())
            return errc::would_deadlock;
        const auto free = max_threads_ - stats_.running;
        if (stats_.queued >= free && stats_.queued - free >= max_queued_)
            return errc::queue_full;
        return std::nullopt;
    }

    template <class Done>
    static bool wait(std::condition_variable& what, std::unique_lock<std::mutex>& lock,
                     std::chrono::milliseconds limit, Done done)
    {
        constexpr auto no_limit = std::chrono::hours(24 * 365);
        if (limit < no_limit)
            return what.wait_for(lock, std::max(limit, std::chrono::milliseconds::zero()), done);
        what.wait(lock, done);
        return true;
    }

    void start_thread() noexcept
    {
        add_reference();
        try {
            const blocked_signals here;
            std::thread([this] { work(); }).detach();
            return;
        } catch (...) { // out of memory, or of threads
        }
        bool alone = false;
        {
            const std::lock_guard lock(mutex_);
            --alive_;
            alone = --stats_.threads == 0;
            ended_.notify_all();
        }
        if (alone)
            refuse_queued(errc::no_thread);
        drop_reference();
    }

    void refuse(worker_call& call, errc why) noexcept
    {
        call.refuse(why);
        if (!settle(call, [] {}))
            call.drop();
    }

    // If no thread will come to serve them.
    void refuse_queued(errc why) noexcept
    {
        for (;;) {
            worker_call* call = nullptr;
            {
                const std::lock_guard lock(mutex_);
                if (closed_ || stats_.threads == 0)
                    call = queue_.pop_front();
                if (call == nullptr)
                    return;
                --stats_.queued;
                ++stats_.refused;
            }
            refuse(*call, why);
        }
    }

    template <class Counted>
    bool settle(worker_call& call, Counted counted) noexcept
    {
        {
            const std::lock_guard lock(mutex_);
            ++waking_;
        }
        const bool taken = call.settle(counted);
        const std::lock_guard lock(mutex_);
        if (--waking_ == 0)
            woken_.notify_all();
        return taken;
    }

    void work() noexcept
    {
        const bool told = thread_end::call(&thread_ended, this);
        core_of_this_thread = this;
        std::unique_lock lock(mutex_);
        ++stats_.idle;
        const auto has_work = [this] { return closed_ || !queue_.empty(); };
        while (wait(work_, lock, idle_timeout_, has_work)) {
            auto* call = queue_.pop_front();
            if (call == nullptr)
                break;
            --stats_.queued;
            --stats_.idle;
            ++stats_.running;
            lock.unlock();
            call->run();
            if (!is_of_this_process(*call)) // the function has forked, and this is the child
                return;
            // Free before the caller is woken: its next call then needs no other thread.
            const auto now_free = [this] {
                const std::lock_guard relock(mutex_);
                --stats_.running;
                ++stats_.idle;
                ++stats_.completed;
            };
            const bool taken = settle(*call, now_free);
            if (!taken) {
                call->drop();
                now_free();
            }
            lock.lock();
            if (!taken)
                ++stats_.abandoned;
        }
        --stats_.idle;
        --stats_.threads;
        lock.unlock();
        if (!told)
            thread_ended(this);
    }

    static void thread_ended(void* self) noexcept
    {
        auto& core = *static_cast<worker_core*>(self);
        if (core_of_this_thread != &core) // in a forked child
            return;
        {
            const std::lock_guard lock(core.mutex_);
            --core.alive_;
            core.ended_.notify_all();
        }
        core.drop_reference();
    }

    const unregister forget_;
    const std::size_t max_threads_;
    const std::size_t max_queued_;
    const std::chrono::milliseconds idle_timeout_;
    const std::string name_;

    std::atomic<int> references_{1};
    mutable std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable ended_;
    std::condition_variable woken_;
    intrusive_list<worker_call> queue_;
    intrusive_list<worker_call> of_the_parent_;
    worker_stats stats_;
    std::size_t alive_ = 0;  // threads that have not ended completely
    std::size_t waking_ = 0; // threads that are about to wake a caller
    bool closed_ = false;
};

} // namespace loopsafe::detail

#endif
