// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_OPTIONS_HPP
#define LOOPSAFE_OFFLOAD_OPTIONS_HPP

#include <loopsafe/fwd.hpp>

namespace loopsafe {

/// The calls on a connection run on worker threads: an execution policy of `connection_pool`.
struct thread_offload {};

/// What cancelling a call does while its function runs. A call that still waits for a thread is
/// always withdrawn: its function never runs.
enum class on_cancel {
    /// The caller waits for the function to end, and gets what it gives.
    wait,
    /// The caller goes on at once with `operation_aborted`; the function runs to its end, keeps its
    /// thread until then, and what it gives is dropped.
    abandon
};

struct offload_options {
    /// Which threads; null: `worker_threads::shared()`. They may be destroyed while calls are under
    /// way.
    worker_threads* workers = nullptr;
    on_cancel cancelled = on_cancel::wait;
};

} // namespace loopsafe

#endif
