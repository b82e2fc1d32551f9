// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_THREAD_OFFLOAD_HPP
#define LOOPSAFE_THREAD_OFFLOAD_HPP

/// A call that blocks, on a worker thread.
///
///     auto text = co_await loopsafe::offload(read_file, path); // read_file(path), elsewhere
///
/// For a pool whose connections live on worker threads: `<loopsafe/offloaded_connection_pool.hpp>`.
#include <loopsafe/offload/offload.hpp>

#endif
