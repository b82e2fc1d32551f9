// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <doctest/doctest.h>

#include <support/scripted.hpp>

namespace connection_pool_queue_tests {

namespace {

using namespace support;

TEST_CASE("bounded size: a pool makes max_size connections and no more")
{
    scripted f({.max_size = 2});
    auto a = f.acquire();
    auto b = f.acquire();
    auto c = f.start_waiting();
    CHECK(f.script->attempts == 2);
    a.release();
    CHECK(number(c.lease()) == 1);
    CHECK(f.script->attempts == 2);
    CHECK(f.script->open() == 2);
}

TEST_CASE("FIFO direct hand-off: callers are served in the order in which they came")
{
    scripted f({.max_size = 1});
    auto taken = f.acquire();
    auto first = f.start_waiting();
    auto second = f.start_waiting();
    auto third = f.start_waiting();

    taken.release();
    CHECK(number(first.lease()) == 1);
    CHECK_FALSE(second.done());
    first.lease().release();
    CHECK(number(second.lease()) == 1);
    CHECK_FALSE(third.done());
    second.lease().release();
    CHECK(number(third.lease()) == 1);
    CHECK(f.script->attempts == 1);
}

TEST_CASE("no barging: nobody overtakes a caller to whom a connection was handed")
{
    scripted f({.max_size = 1});
    auto taken = f.acquire();
    auto first = f.start_waiting();
    taken.release();
    REQUIRE_FALSE(first.done());
    CHECK_FALSE(f.pool.try_acquire(f.context.get_executor()));
    auto late = f.start_waiting();
    CHECK(first.done());
    CHECK_FALSE(late.done());
    first.lease().release();
    CHECK(number(late.lease()) == 1);
}

TEST_CASE("no barging: nobody overtakes a caller who waits for the right to connect")
{
    scripted f({.max_size = 1});
    auto taken = f.acquire();
    auto first = f.start_waiting();
    taken.discard();
    auto late = f.start_waiting();
    CHECK(number(first.lease()) == 2);
    CHECK_FALSE(late.done());
    first.lease().discard();
    CHECK(number(late.lease()) == 3);
}

TEST_CASE("bounded wait queue: one caller more is told queue_full, at once")
{
    scripted f({.max_size = 1, .max_waiting = 2});
    auto taken = f.acquire();
    auto a = f.start_waiting();
    auto b = f.start_waiting();
    auto c = f.start();
    CHECK(c.code() == errc::queue_full);
    CHECK(f.pool.stats().queue_full == 1);
    CHECK(f.pool.stats().waiting == 2);
    taken.release();
    a.lease().release();
    b.lease().release();
    CHECK(f.acquire());
}

TEST_CASE("bounded wait queue: with max_waiting 0 nobody waits")
{
    scripted f({.max_size = 1, .max_waiting = 0});
    auto taken = f.acquire();
    CHECK(f.start().code() == errc::queue_full);
    taken.release();
    CHECK(f.acquire());
}

TEST_CASE("bounded wait queue: who gives up makes room for another")
{
    scripted f({.max_size = 1, .max_waiting = 1});
    auto taken = f.acquire();
    auto a = f.start_waiting();
    a.cancel();
    CHECK(a.code() == asio::error::operation_aborted);
    auto b = f.start_waiting();
    taken.release();
    CHECK(b.lease());
}

TEST_CASE("separate deadlines: waiting ends with acquire_timeout")
{
    scripted f({.max_size = 1, .acquire_timeout = 3s, .connect_timeout = 1h});
    auto taken = f.acquire();
    auto a = f.start_waiting();
    f.advance(2999ms);
    CHECK_FALSE(a.done());
    f.advance(1ms);
    CHECK(a.code() == errc::acquire_timeout);
    CHECK(f.pool.stats().acquire_timeouts == 1);
    CHECK(f.pool.stats().waiting == 0);
    taken.release();
    CHECK(f.acquire());
}

TEST_CASE("separate deadlines: connecting ends with connect_timeout, however long one may wait")
{
    scripted f({.max_size = 1, .acquire_timeout = 1h, .connect_timeout = 3s});
    f.script->plan({outcome::never});
    auto a = f.start();
    run_until(f.context, [&] { return f.pool.stats().connecting == 1; });
    f.advance(2999ms);
    CHECK_FALSE(a.done());
    f.advance(1ms);
    CHECK(a.code() == errc::connect_timeout);
    CHECK(f.pool.stats().connect_failures == 1);
    CHECK(f.pool.stats().connecting == 0);
    CHECK(f.acquire());
}

TEST_CASE("separate deadlines: the time spent waiting is not taken from that for connecting")
{
    scripted f({.max_size = 1, .acquire_timeout = 10s, .connect_timeout = 3s});
    auto taken = f.acquire();
    f.script->plan({outcome::never});
    auto a = f.start_waiting();
    f.advance(9s);
    taken.discard();
    run_until(f.context, [&] { return f.script->attempts == 2; });
    f.advance(2s);
    CHECK_FALSE(a.done());
    f.advance(1s);
    CHECK(a.code() == errc::connect_timeout);
}

TEST_CASE("separate deadlines: an acquire may bring its own for waiting")
{
    scripted f({.max_size = 1, .acquire_timeout = 1h});
    auto taken = f.acquire();
    auto none = f.start({.timeout = 0ms});
    CHECK(none.code() == errc::acquire_timeout);
    auto a = f.start_waiting({.timeout = 3s});
    auto forever = f.start_waiting({.timeout = loopsafe::never});
    f.advance(3s);
    CHECK(a.code() == errc::acquire_timeout);
    f.advance(24h * 365);
    CHECK_FALSE(forever.done());
    taken.release();
    CHECK(forever.lease());
}

TEST_CASE("separate deadlines: never, and times close to it, do not overflow")
{
    constexpr auto ages = loopsafe::never - 1ms;
    scripted f({.max_size = 1, .acquire_timeout = ages, .connect_timeout = ages});
    f.script->plan({outcome::never});
    auto connecting = f.start();
    run_until(f.context, [&] { return f.script->attempts == 1; });
    auto waiting = f.start_waiting();
    f.advance(24h * 365);
    CHECK_FALSE(connecting.done());
    CHECK_FALSE(waiting.done());
    connecting.cancel();
    CHECK(waiting.lease());
}

TEST_CASE("cancelling a waiting acquire loses no connection and no slot: before the hand-off")
{
    scripted f({.max_size = 1});
    auto taken = f.acquire();
    auto a = f.start_waiting();
    auto b = f.start_waiting();
    a.cancel();
    CHECK(a.code() == asio::error::operation_aborted);
    taken.release();
    CHECK(number(b.lease()) == 1);
    CHECK(f.script->attempts == 1);
    CHECK(f.script->open() == 1);
}

TEST_CASE("cancelling a waiting acquire loses no connection and no slot: after the hand-off")
{
    scripted f({.max_size = 1});
    auto taken = f.acquire();
    auto a = f.start_waiting();
    auto b = f.start_waiting();
    do_on(f.context, [&] {
        taken.release();
        a.cancel();
    });
    CHECK(a.code() == asio::error::operation_aborted);
    CHECK(number(b.lease()) == 1);
    CHECK(f.pool.stats().leased == 1);
    CHECK(f.script->open() == 1);
}

TEST_CASE("cancelling a waiting acquire loses no connection and no slot: with a permit in hand")
{
    scripted f({.max_size = 1});
    auto taken = f.acquire();
    auto a = f.start_waiting();
    auto b = f.start_waiting();
    do_on(f.context, [&] {
        taken.discard();
        a.cancel();
    });
    CHECK(a.code() == asio::error::operation_aborted);
    CHECK(number(b.lease()) == 2);
    CHECK(f.script->attempts == 2);
}

TEST_CASE("cancelling a waiting acquire loses no connection and no slot: while it connects")
{
    scripted f({.max_size = 1});
    f.script->plan({outcome::never});
    auto a = f.start();
    run_until(f.context, [&] { return f.script->attempts == 1; });
    auto b = f.start_waiting();
    a.cancel();
    CHECK(a.code() == asio::error::operation_aborted);
    CHECK(number(b.lease()) == 1);
    CHECK(f.pool.stats().connect_failures == 1);
}

TEST_CASE("a failed connect goes to the caller, and the right to connect to the next")
{
    scripted f({.max_size = 1});
    f.script->plan({outcome::fail});
    auto a = f.start();
    auto b = f.start_waiting();
    CHECK(a.code() == asio::error::connection_refused);
    CHECK(number(b.lease()) == 1);
    CHECK(f.script->attempts == 2);
}

TEST_CASE("a second connect does not wait for the first")
{
    scripted f({.max_size = 2});
    f.script->plan({outcome::never});
    auto slow = f.start();
    auto fast = f.start();
    CHECK(number(fast.lease()) == 1);
    CHECK_FALSE(slow.done());
    slow.cancel();
    CHECK(slow.code() == asio::error::operation_aborted);
}

} // namespace

} // namespace connection_pool_queue_tests
