// SPDX-License-Identifier: BSL-1.0
// A connection of a worker thread belongs to no context, so there is none that it must leave.
// expect: a shelf for each context has no meaning
#include "connectors.hpp"

#include <loopsafe/offloaded_connection_pool.hpp>

#ifdef LOOPSAFE_TEST_CURE
using policy = loopsafe::keep_alive_pool;
#else
using policy = loopsafe::carry_over_pool;
#endif

loopsafe::connection_pool<complete, policy, loopsafe::thread_offload> pool{complete()};
