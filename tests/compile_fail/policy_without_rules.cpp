// SPDX-License-Identifier: BSL-1.0
// A policy says whether its pools have a home.
// expect: the policy does not meet the concept loopsafe::pool_policy
// expect: states_its_rules
#include "connectors.hpp"

struct incomplete : complete_policy {
#ifndef LOOPSAFE_TEST_CURE
    static void has_home();
#endif
};

static_assert(sizeof(loopsafe::connection_pool<complete, incomplete>) != 0);
