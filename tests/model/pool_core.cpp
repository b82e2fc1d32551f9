// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread, and millions of states.
#include "explore.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

// LOOPSAFE_MODEL_DEPTH sets another depth; 99 goes to the end, where no new state is found.
namespace {

using loopsafe::close_reason;
using model::act;
using model::settings;

constexpr model::limits keeps_nothing{.keeps_idle = false, .limit_per_context = false};

int depth_of(int wanted)
{
#ifdef LOOPSAFE_MODEL_POISON
    wanted = std::min(wanted, 8); // the least depth at which all that must be seen is seen
#endif
    const char* given = std::getenv("LOOPSAFE_MODEL_DEPTH");
    return given != nullptr ? std::atoi(given) : wanted;
}

model::census explore(const settings& s, int wanted)
{
    const auto begin = std::chrono::steady_clock::now();
    const auto all = std::make_unique<model::explorer>(s, depth_of(wanted));
    const auto found = all->run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%-38s depth %2d%-14s %9llu states %10llu transitions %d violations %5.1f s\n",
                s.name, found.depth, found.complete ? ", all there is" : "",
                static_cast<unsigned long long>(found.states),
                static_cast<unsigned long long>(found.transitions), !found.violation.empty(),
                took.count());
    CHECK_MESSAGE(found.violation.empty(), found.violation);
    return found.seen;
}

// An exploration that never came to what it is for shows nothing.
void check_seen(const model::census& seen, const settings& s)
{
    for (int i = 0; i < model::act_count; ++i) {
        const auto what = static_cast<act>(i);
        const bool timed = what == act::tick || what == act::freeze || what == act::step_back;
        const bool old = what == act::end_old;
        const bool can = (s.ticks > 0 || !timed) && (s.drains || what != act::drain) &&
                         (s.resets || what != act::end_reset) &&
                         (s.process || what != act::thaw_process) &&
                         (!old || (s.rules.keeps_idle && s.rules.max_size > 1));
        CAPTURE(i);
        CHECK((seen.acts[i] > 0) == can);
    }
    CHECK(seen.granted_places > 0);
    CHECK((seen.handed_over > 0) == s.rules.keeps_idle);
    CHECK((seen.successors > 0) == !s.has_home);
    CHECK(seen.leases_outlived > 0);
    CHECK(seen.orphans > 0);
    CHECK(seen.pools_freed > 0);
    CHECK((seen.drained > 0) == s.drains);
    CHECK((seen.lent_meanwhile > 0) == s.rules.keeps_idle);
    CHECK((seen.put_back_meanwhile > 0) == s.rules.keeps_idle);
}

} // namespace

TEST_CASE("keep_alive_pool: every history agrees with the reference model")
{
    const settings s{.name = "keep_alive_pool", .has_home = true};
    const auto seen = explore(s, 99);
    check_seen(seen, s);
    CHECK(seen.queue_full > 0);
}

TEST_CASE("null_pool: every history agrees with the reference model")
{
    const settings s{.name = "null_pool", .rules = keeps_nothing};
    const auto seen = explore(s, 10);
    check_seen(seen, s);
    CHECK(seen.queue_full > 0);
}

TEST_CASE("per_context_pool: every history agrees with the reference model")
{
    const settings s{.name = "per_context_pool"};
    const auto seen = explore(s, 10);
    check_seen(seen, s);
    CHECK(seen.queue_full > 0);
}

TEST_CASE("two who wait for one connection are served in the order in which they came")
{
    const settings s{.name = "max_size 1, two wait",
                     .rules = {.max_size = 1, .max_waiting = 2},
                     .has_home = true,
                     .process = true};
    check_seen(explore(s, 99), s);
}

TEST_CASE("connections age by every clock, and a reset may fail")
{
    const settings s{.name = "limits of time, resets",
                     .rules = {.idle_timeout = 3, .max_lifetime = 4, .probe_after = 2},
                     .has_home = true,
                     .callers = 2,
                     .resets = true,
                     .process = true,
                     .ticks = 4};
    const auto seen = explore(s, 9);
    for (const auto why :
         {close_reason::idle_too_long, close_reason::lived_too_long, close_reason::probe_failed,
          close_reason::reset_failed, close_reason::dirty, close_reason::discarded,
          close_reason::forked, close_reason::invalidated, close_reason::pool_closed}) {
        CAPTURE(static_cast<int>(why));
        CHECK(seen.closed[static_cast<std::size_t>(why)] > 0);
    }
}

TEST_CASE("a connection that is handed over has not been idle")
{
    const settings s{
        .name = "limits of time, one waits",
        .rules = {.max_size = 1, .idle_timeout = 3, .max_lifetime = 4, .probe_after = 2},
        .has_home = true,
        .callers = 2,
        .whole = false,
        .ticks = 3};
    CHECK(explore(s, 99).handed_over > 0);
}

TEST_CASE("whoever waits for the last lease is told: keep_alive_pool")
{
    const settings s{
        .name = "async_close: keep_alive_pool", .has_home = true, .callers = 2, .drains = true};
    check_seen(explore(s, 99), s);
}

TEST_CASE("whoever waits for the last lease is told: null_pool")
{
    const settings s{
        .name = "async_close: null_pool", .rules = keeps_nothing, .callers = 2, .drains = true};
    check_seen(explore(s, 8), s);
}

TEST_CASE("whoever waits for the last lease is told: per_context_pool")
{
    const settings s{.name = "async_close: per_context_pool", .callers = 2, .drains = true};
    check_seen(explore(s, 8), s);
}

namespace {

using namespace std::chrono_literals;
using loopsafe::detail::pool_core;
using loopsafe::detail::pool_rules;

constexpr auto forever = std::chrono::nanoseconds::max();

pool_rules with_times(std::chrono::nanoseconds idle, std::chrono::nanoseconds life,
                      std::chrono::nanoseconds probe)
{
    pool_rules rules;
    rules.idle_timeout = idle;
    rules.max_lifetime = life;
    rules.probe_after = probe;
    return rules;
}

} // namespace

TEST_CASE("a pool reads clocks only if it has a limit of time")
{
    CHECK_FALSE(pool_core(with_times(forever, forever, forever)).needs_clock());
    CHECK(pool_core(with_times(1s, forever, forever)).needs_clock());
    CHECK(pool_core(with_times(forever, 1s, forever)).needs_clock());
    CHECK(pool_core(with_times(forever, forever, 1s)).needs_clock());
}

TEST_CASE("a pool that is watched times every use, and tells of every return")
{
    loopsafe::detail::pool_shelf shelf;
    loopsafe::detail::pool_slot slot(shelf);
    pool_core core{pool_rules{}};
    core.add(shelf);
    core.connecting(slot);
    CHECK(core.may_put_back(slot, 0));
    core.watch();
    CHECK_FALSE(core.may_put_back(slot, 0));
    CHECK(core.needs_clock());
}

TEST_CASE("jitter shortens a lifetime by its share, and no lifetime by nothing")
{
    loopsafe::detail::pool_shelf shelf;
    loopsafe::detail::pool_slot slot(shelf);
    const loopsafe::clock_reading now{1s, 2s, 30s};
    pool_core limited(with_times(forever, 100s, forever));
    limited.connected(slot, now, 0.25);
    CHECK(slot.lifetime == 75s);
    pool_core endless(with_times(forever, forever, 1s));
    endless.connected(slot, now, 0.25);
    CHECK(slot.lifetime == forever);
}

TEST_CASE("a pool of one context grants nothing when that context is dead")
{
    loopsafe::detail::pool_shelf shelf;
    loopsafe::detail::intrusive_list<loopsafe::detail::pool_slot> evicted;
    pool_core core{pool_rules{}};
    core.add(shelf);
    core.context_died(shelf, evicted);
    CHECK_FALSE(core.try_acquire(shelf));
    CHECK(shelf.budget->size == 0);
    CHECK(core.drop(shelf));
}

TEST_CASE("a connection that comes back before anybody had it is reused by whoever has it then")
{
    loopsafe::detail::pool_shelf shelf;
    loopsafe::detail::pool_slot slot(shelf);
    pool_core core{pool_rules{}};
    core.add(shelf);
    CHECK(core.try_acquire(shelf));
    core.connecting(slot);
    core.connected(slot, {}, 0.0);
    CHECK(core.keep(slot));
    CHECK(core.try_acquire(shelf).slot == &slot);
    core.leased(slot, std::source_location::current());
    auto stats = core.stats();
    pool_core::add_to(stats, shelf);
    CHECK(stats.reused == 1);
}
