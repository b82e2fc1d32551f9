// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_WORKER_CALL_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_WORKER_CALL_HPP

#include <loopsafe/detail/intrusive_list.hpp>
#include <loopsafe/error.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>

namespace loopsafe::detail {

// One function on its way through the worker threads and back to the waiting caller.
//
// The caller has a reference, and from submit() on the threads have one. Settling the call passes
// theirs to a caller that is still there, so that the caller frees the memory that it allocated.
class worker_call : public list_node {
public:
    std::uint64_t forks = 0; // of the threads' core when it took the call

    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }

    void drop_reference() noexcept
    {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            destroy();
    }

    virtual void run() noexcept = 0;
    virtual void refuse(errc why) noexcept = 0; // instead of run()

    // By the threads, at the end: wakes the caller, after `counted()`. False: there is none.
    template <class Counted>
    bool settle(Counted counted) noexcept
    {
        const std::lock_guard lock(mutex_);
        if (!wanted_)
            return false;
        settled_ = true;
        counted();
        wake();
        return true;
    }

    // By the threads, if nobody waits for the result.
    void drop() noexcept
    {
        drop_result();
        drop_reference();
    }

    // Wakes the caller, which no longer gets a result.
    void give_up() noexcept
    {
        const std::lock_guard lock(mutex_);
        if (wanted_ && !settled_) {
            wanted_ = false;
            wake();
        }
    }

    // By the caller, which may then read the result.
    bool settled() noexcept
    {
        const std::lock_guard lock(mutex_);
        return settled_;
    }

    // By the caller, at the end. It is not woken any more.
    void leave() noexcept
    {
        bool theirs = false;
        {
            const std::lock_guard lock(mutex_);
            wanted_ = false;
            theirs = settled_;
        }
        if (theirs)
            drop_reference();
    }

protected:
    worker_call() = default;
    ~worker_call() = default;

private:
    virtual void wake() noexcept = 0; // under the lock
    virtual void drop_result() noexcept = 0;
    virtual void destroy() noexcept = 0;

    std::atomic<int> references_{1};
    std::mutex mutex_;
    bool wanted_ = true;
    bool settled_ = false;
};

} // namespace loopsafe::detail

#endif
