// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <doctest/doctest.h>

#include <support/scripted.hpp>

namespace connection_pool_limits_tests {

namespace {

using namespace support;

struct counting_clock : manual_clock {
    static std::chrono::nanoseconds cheap() noexcept
    {
        ++cheap_readings;
        return manual_clock::cheap();
    }
    static inline std::size_t cheap_readings = 0;
};
using counted = loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, counting_clock>;

// Each of the three clocks alone runs as far as `by`; the wall clock moves enough to be looked at.
void move_one_clock(std::chrono::nanoseconds by)
{
    SUBCASE("by the monotonic clock")
    {
        manual_clock::move(by, 1s, 1s);
    }
    SUBCASE("by the boot-time clock, as after a suspend")
    {
        manual_clock::move(1s, by, 1s);
    }
    SUBCASE("by the wall clock, as after a restored snapshot")
    {
        manual_clock::move(1s, 1s, by);
    }
    SUBCASE("by the monotonic clock, while the wall clock was set back")
    {
        manual_clock::move(by, 1s, -1h);
    }
}

TEST_CASE("idle limit: a connection idle for as long as idle_timeout is closed at the next acquire")
{
    scripted f({.idle_timeout = 10min, .max_lifetime = loopsafe::never});
    f.acquire().release();
    move_one_clock(10min);
    CHECK(number(f.acquire()) == 2);
    CHECK(f.pool.stats().closed(close_reason::idle_too_long) == 1);
    CHECK(f.script->open() == 1);
}

TEST_CASE("idle limit: a connection idle for less is used again")
{
    scripted f({.idle_timeout = 10min, .max_lifetime = loopsafe::never});
    f.acquire().release();
    move_one_clock(10min - 1ms);
    CHECK(number(f.acquire()) == 1);
}

TEST_CASE("idle limit: connections beyond what is needed are closed, though others are in use")
{
    scripted f({.idle_timeout = 10min, .max_lifetime = loopsafe::never});
    {
        auto a = f.acquire();
        auto b = f.acquire();
        auto c = f.acquire();
    }
    for (int minute = 0; minute != 11; ++minute) {
        f.advance(1min);
        f.acquire().release();
    }
    CHECK(f.script->open() == 1);
    CHECK(f.pool.stats().idle == 1);
    CHECK(f.pool.stats().closed(close_reason::idle_too_long) == 2);
}

TEST_CASE(
    "lifetime limit: a connection as old as max_lifetime is closed when it would be used again")
{
    scripted f({.idle_timeout = loopsafe::never, .max_lifetime = 30min, .lifetime_jitter = 0.0});
    f.acquire().release();
    move_one_clock(30min);
    CHECK(number(f.acquire()) == 2);
    CHECK(f.pool.stats().closed(close_reason::lived_too_long) == 1);
}

TEST_CASE("lifetime limit: a younger connection is used again")
{
    scripted f({.idle_timeout = loopsafe::never, .max_lifetime = 30min, .lifetime_jitter = 0.0});
    f.acquire().release();
    move_one_clock(30min - 1ms);
    CHECK(number(f.acquire()) == 1);
}

TEST_CASE("lifetime limit: a busy connection ends in time, too")
{
    scripted f({.max_lifetime = 30min, .lifetime_jitter = 0.0});
    for (int second = 0; second != 30 * 60; ++second) {
        REQUIRE(number(f.acquire()) == 1);
        manual_clock::move(1s, 1s, 1s);
    }
    CHECK(number(f.acquire()) == 2);
}

TEST_CASE("lifetime limit: what is handed over directly is judged as well")
{
    scripted f({.max_size = 1, .max_lifetime = 30min, .lifetime_jitter = 0.0});
    auto lease = f.acquire();
    auto waiting = f.start_waiting({.timeout = loopsafe::never});
    manual_clock::move(30min, 30min, 30min);
    lease.release();
    CHECK(number(waiting.lease()) == 2);
}

TEST_CASE("jitter: connections made together do not end together, nor before their share")
{
    constexpr std::size_t many = 64;
    scripted f({.max_size = many,
                .idle_timeout = loopsafe::never,
                .max_lifetime = 100min,
                .lifetime_jitter = 0.5});
    const auto reused_after = [&](std::chrono::minutes age) {
        f.pool.invalidate();
        std::vector<decltype(f)::lease_type> leases;
        for (std::size_t i = 0; i != many; ++i)
            leases.push_back(f.acquire());
        leases.clear();
        manual_clock::move(age, age, age);
        const auto before = f.pool.stats().reused;
        for (std::size_t i = 0; i != many; ++i)
            leases.push_back(f.acquire());
        return f.pool.stats().reused - before;
    };
    CHECK(reused_after(49min) == many);
    CHECK(reused_after(100min) == 0);
    const auto reused = reused_after(75min);
    CHECK(reused > 0);
    CHECK(reused < many);
}

TEST_CASE("clocks: a warm acquire and release read the cheap clock once and no other")
{
    scripted<counted> f;
    f.acquire().release();
    const auto readings = manual_clock::readings();
    counting_clock::cheap_readings = 0;
    for (int i = 0; i != 100; ++i)
        f.acquire().release();
    CHECK(counting_clock::cheap_readings == 100);
    CHECK(manual_clock::readings() == readings);
}

TEST_CASE("clocks: warm acquires read all three at most once a second")
{
    scripted f({.idle_timeout = loopsafe::never, .max_lifetime = loopsafe::never});
    f.acquire().release();
    const auto readings = manual_clock::readings();
    for (int i = 0; i != 1000; ++i) {
        manual_clock::move(10ms, 10ms, 10ms);
        f.acquire().release();
    }
    CHECK(manual_clock::readings() - readings == 10);
}

TEST_CASE("clocks: a pool without limits and probe reads none")
{
    scripted<counted> f({.idle_timeout = loopsafe::never,
                         .max_lifetime = loopsafe::never,
                         .probe_after = loopsafe::never});
    counting_clock::cheap_readings = 0;
    f.acquire().release();
    f.acquire().release();
    CHECK(counting_clock::cheap_readings == 0);
    CHECK(manual_clock::readings() == 0);
}

TEST_CASE("no background task: a pool with idle connections leaves its context without work")
{
    scripted f({.idle_timeout = 1ms, .max_lifetime = 1ms, .probe_after = 1ms});
    {
        auto a = f.acquire();
        auto b = f.acquire();
    }
    CHECK(f.pool.stats().idle == 2);
    run_ready(f.context);
    CHECK(f.context.stopped());
}

TEST_CASE("max_size counts for each context with per_context_pool")
{
    scripted<per_context> f({.max_size = 1});
    asio::io_context other;
    const auto here = f.acquire();
    const auto there = run_on(other, f.pool.acquire());
    CHECK(f.script->open() == 2);
    CHECK(f.start({.timeout = 0ms}).code() == errc::acquire_timeout);
    CHECK(attempt(other, f.pool.acquire({.timeout = 0ms})).code() == errc::acquire_timeout);
}

TEST_CASE("max_waiting counts for each context with per_context_pool")
{
    scripted<per_context> f({.max_size = 1, .max_waiting = 1});
    asio::io_context other;
    const auto here = f.acquire();
    const auto there = run_on(other, f.pool.acquire());
    auto waits_here = f.start_waiting();
    attempt waits_there(other, f.pool.acquire());
    run_ready(other);
    CHECK(f.pool.stats().waiting == 2);
    CHECK(f.start().code() == errc::queue_full);
    CHECK(attempt(other, f.pool.acquire()).code() == errc::queue_full);
}

TEST_CASE(
    "max_size counts for the whole pool with null_pool, and waiters of any context get a turn")
{
    scripted<null> f({.max_size = 2});
    asio::io_context other;
    auto here = f.acquire();
    auto there = run_on(other, f.pool.acquire());
    auto waiting = f.start_waiting();
    there.release();
    CHECK(f.script->open() == 1);
    CHECK(number(waiting.lease()) == 3);
    CHECK(waiting.lease().home() == loopsafe::context_of(f.context));
}

TEST_CASE("null_pool keeps nothing and hands nothing over")
{
    scripted<null> f({.max_size = 1});
    auto lease = f.acquire();
    auto waiting = f.start_waiting();
    lease.release();
    CHECK(f.script->open() == 0);
    CHECK(number(waiting.lease()) == 2);
    waiting.lease().release();
    CHECK(number(f.acquire()) == 3);
    CHECK(f.pool.stats().idle == 0);
    CHECK(f.pool.stats().reused == 0);
    CHECK(f.pool.stats().closed(close_reason::not_kept) == 3);
    CHECK_FALSE(f.pool.try_acquire(f.context.get_executor()));
}

TEST_CASE("null_pool connects concurrently")
{
    scripted<null> f({.max_size = 3});
    f.script->plan({outcome::never, outcome::never});
    auto a = f.start();
    auto b = f.start();
    CHECK(number(f.start().lease()) == 1);
    CHECK(f.pool.stats().connecting == 2);
    a.cancel();
    b.cancel();
    CHECK(a.code() == asio::error::operation_aborted);
    CHECK(b.code() == asio::error::operation_aborted);
}

} // namespace

} // namespace connection_pool_limits_tests
