// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_WORKER_REGISTRY_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_WORKER_REGISTRY_HPP

#include <loopsafe/detail/intrusive_list.hpp>
#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/offload/detail/worker_core.hpp>

#include <mutex>

#if defined(BOOST_HAS_UNISTD_H)
#include <pthread.h>
#endif

namespace loopsafe::detail {

// All sets of threads, so that a fork finds each at rest.
class worker_registry {
public:
    static worker_registry& instance()
    {
        static auto* const one = new worker_registry; // whatever is destroyed last may need it
        return *one;
    }

    worker_core* make(const worker_options& limits)
    {
        auto* const core = new worker_core(limits, forget);
        const std::lock_guard lock(mutex_);
        cores_.push_back(*core);
        return core;
    }

private:
    worker_registry()
    {
        watch_forks();
#if defined(BOOST_HAS_UNISTD_H)
        ::pthread_atfork([] { instance().before_fork(); }, [] { instance().after_fork(); },
                         [] { instance().after_fork_in_child(); });
#endif
    }

    static void forget(worker_core& core) noexcept
    {
        const std::lock_guard lock(instance().mutex_);
        core.unlink();
    }

    void before_fork() noexcept
    {
        mutex_.lock();
        for (auto& core : cores_)
            core.before_fork();
    }

    void after_fork() noexcept
    {
        for (auto& core : cores_)
            core.after_fork();
        mutex_.unlock();
    }

    void after_fork_in_child() noexcept
    {
        for (auto& core : cores_)
            core.after_fork_in_child();
        mutex_.unlock();
    }

    std::mutex mutex_;
    intrusive_list<worker_core> cores_;
};

} // namespace loopsafe::detail

#endif
