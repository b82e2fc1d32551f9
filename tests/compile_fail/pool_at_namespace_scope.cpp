// SPDX-License-Identifier: BSL-1.0
// A pool with a home cannot be made where there is no context.
// expect: no matching (function|constructor)
// expect: (satisfaction of|does not satisfy) .pool_policy_without_a_home\b
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
loopsafe::connection_pool<complete, loopsafe::null_pool> pool{complete{}};
#else
loopsafe::connection_pool<complete> pool{complete{}};
#endif
