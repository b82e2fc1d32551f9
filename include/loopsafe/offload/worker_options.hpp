// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_WORKER_OPTIONS_HPP
#define LOOPSAFE_OFFLOAD_WORKER_OPTIONS_HPP

#include <loopsafe/never.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace loopsafe {

/// Limits of `worker_threads`.
struct worker_options {
    /// Maximum number of threads, and so of functions that run at once. 0: none. A call then runs
    /// its function in place, which blocks the caller's context: for tests that want no threads.
    std::size_t max_threads = 40;
    /// Maximum number of calls that wait for a thread; further ones get `queue_full`.
    std::size_t max_queued = 1000;
    /// A thread that has been idle for this long ends. `never`: it stays.
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(10);
    /// Appears in reports. The threads make a copy.
    std::string_view name = {};
};

/// A snapshot of `worker_threads`.
struct worker_stats {
    std::size_t threads = 0;     ///< running a function, waiting for one, or being started
    std::size_t idle = 0;        ///< threads without a function
    std::size_t running = 0;     ///< functions in progress, abandoned ones included
    std::size_t queued = 0;      ///< calls that wait for a thread
    std::uint64_t completed = 0; ///< functions that ended, with or without an exception
    std::uint64_t abandoned = 0; ///< of these, with nobody left to take the result
    std::uint64_t refused = 0;   ///< calls that failed with queue_full, workers_closed, ...
};

} // namespace loopsafe

#endif
