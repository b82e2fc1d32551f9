// SPDX-License-Identifier: BSL-1.0
// A pool that keeps nothing has no limit for idle connections.
// expect: single_use_options
// expect: (no non-static data member named|does not refer to any field|no member named).*idle_timeout|idle_timeout.*(does not refer to any field|non-static data member)
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
using policy = loopsafe::per_context_pool;
#else
using policy = loopsafe::null_pool;
#endif

policy::options limits{.idle_timeout = std::chrono::minutes(1)};
