// SPDX-License-Identifier: BSL-1.0
// A policy says whether its pools have a home.
// expect: the policy does not meet the concept loopsafe::pool_policy
// expect: (satisfaction of|does not satisfy) .states_its_rules\b
#include "connectors.hpp"

struct incomplete : complete_policy {
#ifndef LOOPSAFE_TEST_CURE
    enum class maybe { yes };
    static constexpr maybe has_home = maybe::yes;
#endif
};

static_assert(sizeof(loopsafe::connection_pool<complete, incomplete>) != 0);
