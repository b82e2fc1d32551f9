// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <thread>

namespace many_contexts_tests {

namespace {

using namespace threads;

constexpr unsigned owners = 3;
constexpr unsigned lives = 40;
constexpr unsigned users = 6;
constexpr unsigned rounds = 12;

// One context after another; some come to their end, some are destroyed with leases out, callers
// waiting and connections half made.
template <class Pool>
void live(Pool& pool, lost_property<typename Pool::lease_type>& lost, ledger& seen, unsigned owner)
{
    dice choice(100 + owner);
    for (unsigned life = 0; life != lives; ++life) {
        asio::io_context context(1);
        for (unsigned user = 0; user != users; ++user)
            asio::co_spawn(context, use(pool, lost, seen, 1000 * owner + 10 * life + user, rounds),
                           asio::detached);
        if (choice.below(3) == 0) {
            context.run();
        } else {
            for (auto handlers = choice.below(400); handlers != 0; --handlers)
                context.run_one();
        }
    }
}

} // namespace

TEST_CASE_TEMPLATE("a pool that threads with contexts of their own share accounts for everything",
                   Policy, loopsafe::per_context_pool, loopsafe::null_pool,
                   loopsafe::carry_over_pool)
{
    using pool_type = loopsafe::connection_pool<scripted_connector, Policy>;
    const auto script = std::make_shared<connect_script>();
    pool_type pool(scripted_connector(script),
                   {.max_size = 3, .max_waiting = 4, .connect_timeout = 2ms});
    lost_property<typename pool_type::lease_type> lost;
    ledger seen;
    {
        std::vector<std::jthread> all;
        seen.present = owners;
        for (unsigned owner = 1; owner <= owners; ++owner) {
            all.emplace_back([&, owner] {
                live(pool, lost, seen, owner);
                --seen.present;
            });
        }
        dice choice(0);
        while (seen.present != 0) {
            meddle(pool, lost, *script, choice);
            std::this_thread::yield();
        }
    }
    lost.clear();
    if constexpr (loopsafe::carries_over<Policy>)
        pool.drop_parked();
    nothing_is_left(pool, *script, seen);
    CHECK(pool.stats().acquired >= seen.given);
}

} // namespace many_contexts_tests
