// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_THREAD_OFFLOAD_HPP
#define LOOPSAFE_THREAD_OFFLOAD_HPP

/// Runs a blocking call on a worker thread.
///
///     auto text = co_await loopsafe::offload(read_file, path); // calls read_file(path) there
///
/// For a pool whose connections live on worker threads: `<loopsafe/offloaded_connection_pool.hpp>`.
#include <loopsafe/offload/offload.hpp>

#endif
