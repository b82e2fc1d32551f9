// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_IMPL_WORKER_THREADS_HPP
#define LOOPSAFE_OFFLOAD_IMPL_WORKER_THREADS_HPP

#include <loopsafe/offload/detail/worker_registry.hpp>

namespace loopsafe {
namespace detail {

struct worker_access {
    static worker_core& core(worker_threads& workers) noexcept { return *workers.core_; }

    static worker_core* make(const worker_options& limits)
    {
        if (limits.idle_timeout < std::chrono::milliseconds::zero())
            throw boost::system::system_error(make_error_code(errc::bad_option),
                                              "idle_timeout must not be negative");
        return worker_registry::instance().make(limits);
    }

    static std::string advice(errc code, const std::string& workers, const worker_stats& seen)
    {
        std::string text = workers.empty() ? "worker threads" : "worker threads \"" + workers + '"';
        text += ": running " + std::to_string(seen.running) + ", threads " +
                std::to_string(seen.threads) + ", queued " + std::to_string(seen.queued);
        switch (code) {
        case errc::queue_full:
            return text + "; raise max_threads or max_queued, or make fewer calls";
        case errc::would_deadlock:
            return text + "; this is one of the threads: call the function directly, or give it to "
                          "worker_threads of its own";
        case errc::no_thread: return text + "; check the limits for processes and for memory";
        default: return text;
        }
    }
};

} // namespace detail

inline worker_threads::worker_threads(const worker_options& limits)
    : core_(detail::worker_access::make(limits))
{
}

inline worker_threads::~worker_threads()
{
    core_->close();
    core_->drop_reference();
}

inline void worker_threads::close() noexcept
{
    core_->close();
}

inline bool worker_threads::join(std::chrono::milliseconds limit) noexcept
{
    return core_->join(limit);
}

inline worker_stats worker_threads::stats() const
{
    return core_->stats();
}

inline worker_threads& worker_threads::shared()
{
    static auto* const threads = new worker_threads;
    return *threads;
}

inline offload_error::offload_error(errc code, const std::string& workers,
                                    const worker_stats& at_that_time)
    : system_error(make_error_code(code),
                   detail::worker_access::advice(code, workers, at_that_time)),
      stats_(at_that_time)
{
}

} // namespace loopsafe

#endif
