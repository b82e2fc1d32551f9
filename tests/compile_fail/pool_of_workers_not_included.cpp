// SPDX-License-Identifier: BSL-1.0
// A pool on worker threads has a header of its own.
// expect: include <loopsafe/offloaded_connection_pool.hpp>
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
#include <loopsafe/offloaded_connection_pool.hpp>
#endif

loopsafe::connection_pool<complete, loopsafe::null_pool, loopsafe::thread_offload> pool{complete()};
