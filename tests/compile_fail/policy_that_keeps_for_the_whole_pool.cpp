// SPDX-License-Identifier: BSL-1.0
// What is kept is kept for one context, so it counts for each context.
// expect: the policy does not meet the concept loopsafe::pool_policy
// expect: (satisfaction of|does not satisfy) .counts_what_it_keeps\b
#include "connectors.hpp"

struct incomplete : complete_policy {
#ifndef LOOPSAFE_TEST_CURE
    static constexpr bool keeps_idle = true;
#endif
};

static_assert(sizeof(loopsafe::connection_pool<complete, incomplete>) != 0);
