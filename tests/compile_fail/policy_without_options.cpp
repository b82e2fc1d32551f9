// SPDX-License-Identifier: BSL-1.0
// A policy names its options.
// expect: the policy does not meet the concept loopsafe::pool_policy
// expect: (satisfaction of|does not satisfy) .names_its_options\b
#include "connectors.hpp"

struct incomplete : complete_policy {
#ifndef LOOPSAFE_TEST_CURE
    struct options {
        std::size_t max_size = 1;
    };
#endif
};

static_assert(sizeof(loopsafe::connection_pool<complete, incomplete>) != 0);
