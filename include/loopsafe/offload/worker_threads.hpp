// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_WORKER_THREADS_HPP
#define LOOPSAFE_OFFLOAD_WORKER_THREADS_HPP

#include <loopsafe/error.hpp>
#include <loopsafe/offload/worker_options.hpp>

#include <chrono>
#include <string>

namespace loopsafe {

namespace detail {
class worker_core;
struct worker_access;
} // namespace detail

/// Threads for functions that block, started on demand and ended when idle.
///
/// A thread is occupied until its function ends, even if the caller has given up, so `max_threads`
/// really limits the load on the machine. No thread belongs to a context, and none touches a
/// context except to wake a caller that still waits there.
///
/// The threads take no signals but those of a fault, of `abort()` and of a profiler; a program that
/// a function starts inherits that.
///
/// After `fork()`, the child has none of the threads: it starts its own at its first call. Calls
/// that were in progress belong to the parent; in the child they never complete.
/// Thread safety: distinct objects safe; shared objects safe, except for destruction.
class worker_threads {
public:
    /// Starts no thread yet.
    /// Errors: `bad_option` (as `system_error`) if `idle_timeout` is negative.
    explicit worker_threads(const worker_options& limits = {});

    worker_threads(const worker_threads&) = delete;
    worker_threads& operator=(const worker_threads&) = delete;

    /// Same as `close()`: it does not wait. Functions in progress keep what they need of the
    /// threads; see `join()` for what they need of the program.
    ~worker_threads();

    /// Refuses every call from now on, including those that wait for a thread (`workers_closed`).
    /// Functions in progress continue, and their callers get the results. Idempotent.
    void close() noexcept;

    /// `close()`, then waits until the functions in progress have ended, and the threads with them.
    ///
    /// False if `limit` passed first; also, at once, if called on one of these threads, which would
    /// wait for itself. It blocks: do not call it on a context whose callers still have to be
    /// served.
    bool join(std::chrono::milliseconds limit) noexcept;

    worker_stats stats() const;

    /// The threads for calls that name none, with default options. They are never joined, so a
    /// function that never returns does not keep the program from ending.
    static worker_threads& shared();

private:
    friend struct detail::worker_access;
    detail::worker_core* const core_;
};

/// Thrown if the worker threads cannot take a call: `queue_full`, `workers_closed`,
/// `would_deadlock`, `no_thread`. The function has not run. `what()` includes advice.
class offload_error : public boost::system::system_error {
public:
    offload_error(errc code, const std::string& workers, const worker_stats& at_that_time);

    const worker_stats& stats() const noexcept { return stats_; }

private:
    worker_stats stats_;
};

} // namespace loopsafe

#include <loopsafe/offload/impl/worker_threads.hpp>

#endif
