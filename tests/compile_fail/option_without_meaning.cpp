// SPDX-License-Identifier: BSL-1.0
// A pool that keeps nothing has no limit for idle connections.
// expect: single_use_options
// expect: (non-static data member named|field designator) .idle_timeout\b
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
using policy = loopsafe::per_context_pool;
#else
using policy = loopsafe::null_pool;
#endif

policy::options limits{.idle_timeout = std::chrono::minutes(1)};
