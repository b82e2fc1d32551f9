// SPDX-License-Identifier: BSL-1.0
// A policy names its clock.
// expect: the policy does not meet the concept loopsafe::pool_policy
// expect: (satisfaction of|does not satisfy) .names_a_clock\b
#include "connectors.hpp"

struct incomplete : complete_policy {
#ifndef LOOPSAFE_TEST_CURE
    using clock_type = std::chrono::steady_clock;
#endif
};

static_assert(sizeof(loopsafe::connection_pool<complete, incomplete>) != 0);
