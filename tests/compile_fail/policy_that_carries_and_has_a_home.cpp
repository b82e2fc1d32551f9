// SPDX-License-Identifier: BSL-1.0
// What goes from one context to the next is at home in none.
// expect: the policy does not meet the concept loopsafe::pool_policy
#include "connectors.hpp"

struct policy : loopsafe::carry_over_pool {
#ifndef LOOPSAFE_TEST_CURE
    static constexpr bool has_home = true;
#endif
};

struct carrying : complete {
    using handle_type = int;
    std::optional<int> detach(connection&) const noexcept;
    connection attach(int&&, const boost::asio::any_io_executor&) const;
};

static_assert(sizeof(loopsafe::connection_pool<carrying, policy>) != 0);
