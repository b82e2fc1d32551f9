// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_WORKER_THREADS_HPP
#define LOOPSAFE_WORKER_THREADS_HPP

/// The threads on which `offload` runs blocking functions: how many, how long, joined with a
/// deadline.
///
///     loopsafe::worker_threads few({.max_threads = 2, .name = "resize"});
///     auto small = co_await loopsafe::offload({.workers = &few}, resize, std::move(image));
///     few.join(5s);
#include <loopsafe/offload/worker_threads.hpp>

#endif
