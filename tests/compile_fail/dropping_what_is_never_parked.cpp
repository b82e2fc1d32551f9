// SPDX-License-Identifier: BSL-1.0
// Only what carries connections over has parked ones.
// expect: (constraints not satisfied|invalid reference to function 'drop_parked')
// expect: carries_over
#include "connectors.hpp"

struct carrying : complete {
    using handle_type = int;
    std::optional<int> detach(connection&) const noexcept;
    connection attach(int&&, const boost::asio::any_io_executor&) const;
};

#ifdef LOOPSAFE_TEST_CURE
using policy = loopsafe::carry_over_pool;
#else
using policy = loopsafe::per_context_pool;
#endif

void before_a_snapshot(loopsafe::connection_pool<carrying, policy>& pool)
{
    pool.drop_parked();
}
