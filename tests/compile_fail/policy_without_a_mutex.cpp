// SPDX-License-Identifier: BSL-1.0
// A policy names its mutex.
// expect: the policy does not meet the concept loopsafe::pool_policy
// expect: (satisfaction of|does not satisfy) .names_a_mutex\b
#include "connectors.hpp"

struct incomplete : complete_policy {
#ifndef LOOPSAFE_TEST_CURE
    using mutex_type = int;
#endif
};

static_assert(sizeof(loopsafe::connection_pool<complete, incomplete>) != 0);
