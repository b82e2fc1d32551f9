// SPDX-License-Identifier: BSL-1.0
// A policy gives advice to whom it refuses.
// expect: the policy does not meet the concept loopsafe::pool_policy
// expect: (satisfaction of|does not satisfy) .gives_advice\b
#include "connectors.hpp"

struct incomplete : complete_policy {
#ifndef LOOPSAFE_TEST_CURE
    static void advice();
#endif
};

static_assert(sizeof(loopsafe::connection_pool<complete, incomplete>) != 0);
