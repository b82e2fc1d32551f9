// SPDX-License-Identifier: BSL-1.0
// Connections are carried from one context to the next only by a connector that can do that.
// expect: carry_over_pool needs a connector that meets the concept loopsafe::can_carry
// expect: use per_context_pool or null_pool
// expect: ^(?!(?s:.*error: ){2})
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
struct carrying : complete {
    using handle_type = int;
    std::optional<int> detach(connection&) const noexcept;
    connection attach(int&&, const boost::asio::any_io_executor&) const;
};
#else
using carrying = complete;
#endif

loopsafe::connection_pool<carrying, loopsafe::carry_over_pool> pool{carrying()};

boost::asio::awaitable<void> use()
{
    auto lease = co_await pool.acquire();
    lease.release();
}
