// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_OPTIONS_HPP
#define LOOPSAFE_OFFLOAD_OPTIONS_HPP

#include <loopsafe/fwd.hpp>

namespace loopsafe {

/// Calls on a connection run on worker threads: an execution policy of `connection_pool`.
struct thread_offload {};

/// The effect of cancelling a call while its function runs. A call that still waits for a thread is
/// always withdrawn: its function never runs.
enum class on_cancel {
    /// The caller waits for the function to end, and gets its result.
    wait,
    /// The caller continues at once with `operation_aborted`; the function runs to its end,
    /// occupies its thread until then, and its result is dropped.
    abandon
};

struct offload_options {
    /// The threads to use; null: `worker_threads::shared()`. They may be destroyed while calls are
    /// in progress.
    worker_threads* workers = nullptr;
    on_cancel cancelled = on_cancel::wait;
};

} // namespace loopsafe

#endif
