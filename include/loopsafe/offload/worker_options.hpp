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
    /// Threads at most, and so functions that run at once. 0: none; a call runs its function where
    /// it is made, which blocks the caller's context: for tests that want no threads.
    std::size_t max_threads = 40;
    /// Calls that may wait for a thread; more are told `queue_full`.
    std::size_t max_queued = 1000;
    /// A thread that has had nothing to do for as long ends. `never`: it stays.
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(10);
    /// For reports. The threads make a copy.
    std::string_view name = {};
};

/// What `worker_threads` do, a snapshot.
struct worker_stats {
    std::size_t threads = 0;     ///< those that run a function, wait for one, or are being started
    std::size_t idle = 0;        ///< threads without a function
    std::size_t running = 0;     ///< functions under way, those that nobody waits for included
    std::size_t queued = 0;      ///< calls that wait for a thread
    std::uint64_t completed = 0; ///< functions that ended, by an exception or not
    std::uint64_t abandoned = 0; ///< of these, with nobody left to take the result
    std::uint64_t refused = 0;   ///< calls that were told queue_full, workers_closed, ...
};

} // namespace loopsafe

#endif
