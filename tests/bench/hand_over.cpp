// SPDX-License-Identifier: BSL-1.0
// What it takes to hand a returned connection to the first who waits, by the number of those.
#include "idle_connector.hpp"
#include "measure.hpp"
#include "stepping.hpp"

#include <boost/asio/executor_work_guard.hpp>

namespace {

using namespace bench;

using pool_type = loopsafe::connection_pool<idle_connector>;

asio::awaitable<void> hold(pool_type& pool, pool_type::lease_type& place, int& handed)
{
    place = co_await pool.acquire();
    ++handed;
}

// The instructions from the release of a lease to the next holder having it, on average.
double instructions(int waiters)
{
    constexpr int hand_overs = 8;
    return static_cast<double>(
               count(event::instructions,
                     [=] {
                         asio::io_context context(1);
                         const auto work = asio::make_work_guard(context);
                         auto options = timeless(1);
                         options.max_waiting = 100'000;
                         pool_type pool(context, idle_connector{}, options);
                         pool_type::lease_type lease;
                         int handed = 0;
                         const auto queue = [&] {
                             asio::co_spawn(context, hold(pool, lease, handed), asio::detached);
                             context.poll();
                         };
                         for (int i = 0; i != waiters + 1; ++i)
                             queue();
                         for (int i = 0; i != hand_overs; ++i) {
                             const int before = handed;
                             auto held = std::move(lease);
                             mark();
                             held.release();
                             while (handed == before)
                                 context.poll_one();
                             mark();
                             queue();
                         }
                         if (pool.stats().waiting != static_cast<std::size_t>(waiters))
                             std::abort();
                         std::_Exit(0);
                     })) /
           hand_overs;
}

} // namespace

int main()
{
    const double few = instructions(10);
    row("hand-over with 1000 waiters, beside 10", instructions(1'000), "instructions", few);
    row("hand-over with 10000 waiters, beside 10", instructions(10'000), "instructions", few, 1.2);
}
