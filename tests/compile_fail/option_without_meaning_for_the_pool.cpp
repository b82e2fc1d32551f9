// SPDX-License-Identifier: BSL-1.0
// The same, where the pool is made.
// expect: no matching (function|constructor)
// expect: (no known conversion for argument 2 from|cannot convert) .*initializer list
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
using policy = loopsafe::per_context_pool;
#else
using policy = loopsafe::null_pool;
#endif

loopsafe::connection_pool<complete, policy> pool(complete{},
                                                 {.probe_after = std::chrono::minutes(1)});
