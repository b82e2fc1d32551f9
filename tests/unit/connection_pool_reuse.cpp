// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <doctest/doctest.h>

#include <support/scripted.hpp>

namespace connection_pool_reuse_tests {

namespace {

using namespace support;

// Resetting takes until somebody cancels it.
class stuck_in_reset : public scripted_connector {
public:
    using scripted_connector::scripted_connector;

    bool needs_reset(const connection_type&) const noexcept { return true; }

    asio::awaitable<void> reset(connection_type& connection) const
    {
        connection.timer().expires_at(asio::steady_timer::time_point::max());
        co_await connection.timer().async_wait(asio::use_awaitable);
    }
};

// Resets with the first operation, or refuses to.
class late_resetter : public scripted_connector {
public:
    struct counts {
        bool refuses = false;
        bool postponed = false;
        int reset = 0;
    };

    late_resetter(const scripted_connector& how, std::shared_ptr<counts> c)
        : scripted_connector(how), counts_(std::move(c))
    {
    }

    bool needs_reset(const connection_type&) const noexcept { return true; }
    bool postpone_reset(connection_type&, std::chrono::milliseconds limit) const noexcept
    {
        CHECK(limit == 3s);
        counts_->postponed = !counts_->refuses;
        return !counts_->refuses;
    }
    asio::awaitable<void> reset(connection_type&) const
    {
        ++counts_->reset;
        co_return;
    }

private:
    std::shared_ptr<counts> counts_;
};

TEST_CASE("a reset that can be postponed is, unless a probe is due")
{
    const auto script = std::make_shared<connect_script>();
    const auto seen = std::make_shared<late_resetter::counts>();
    asio::io_context context;
    loopsafe::connection_pool<late_resetter> pool(
        context, late_resetter(scripted_connector(script), seen), {.connect_timeout = 3s});
    const auto use = [&] {
        seen->postponed = false;
        run_on(context, pool.acquire()).release();
    };
    use();
    CHECK_FALSE(seen->postponed);
    use();
    CHECK(seen->postponed);
    seen->postponed = false;
    CHECK(pool.try_acquire(context.get_executor()));
    CHECK(seen->postponed);
    CHECK(seen->reset == 0);
    pool.thaw();
    use();
    CHECK(seen->reset == 1);
    seen->refuses = true;
    CHECK(!pool.try_acquire(context.get_executor()));
    use();
    CHECK(seen->reset == 2);
    CHECK(script->opened == 1);
}

TEST_CASE("LIFO reuse: the connection used last is used first")
{
    scripted f;
    auto one = f.acquire();
    auto two = f.acquire();
    auto three = f.acquire();
    two.release();
    three.release();
    one.release();
    auto a = f.acquire();
    auto b = f.acquire();
    auto c = f.acquire();
    CHECK(number(a) == 1);
    CHECK(number(b) == 3);
    CHECK(number(c) == 2);
}

TEST_CASE("cheap probe before reuse: a connection idle for as long as probe_after is probed")
{
    scripted f({.probe_after = 5s});
    f.acquire().release();
    f.advance(4999ms);
    f.acquire().release();
    CHECK(f.script->probes == 0);
    f.advance(5s);
    CHECK(number(f.acquire()) == 1);
    CHECK(f.script->probes == 1);
}

TEST_CASE("cheap probe before reuse: a connection in use all the time is not probed")
{
    scripted f({.probe_after = 1s});
    f.acquire().release();
    for (int i = 0; i != 100; ++i) {
        f.advance(100ms);
        f.acquire().release();
    }
    CHECK(f.script->probes == 0);
}

TEST_CASE("cheap probe before reuse: probe_after 0 probes at every reuse, and at a hand-off")
{
    scripted f({.max_size = 1, .probe_after = 0ms});
    auto lease = f.acquire();
    CHECK(f.script->probes == 0);
    auto waiting = f.start_waiting();
    lease.release();
    waiting.lease().release();
    CHECK(f.script->probes == 1);
    f.acquire().release();
    CHECK(f.script->probes == 2);
}

TEST_CASE("cheap probe before reuse: probe_after never asks for none")
{
    scripted f({.idle_timeout = loopsafe::never,
                .max_lifetime = loopsafe::never,
                .probe_after = loopsafe::never});
    f.acquire().release();
    f.advance(24h * 365 * 100);
    CHECK(number(f.acquire()) == 1);
    CHECK(f.script->probes == 0);
}

TEST_CASE("a connection that fails its probe is closed, and a new one is made in its place")
{
    scripted f({.max_size = 1, .probe_after = 0ms});
    f.acquire().release();
    f.script->peer_alive = false;
    CHECK(number(f.acquire()) == 2);
    CHECK(f.pool.stats().closed(close_reason::probe_failed) == 1);
    CHECK(f.pool.stats().connects == 2);
    CHECK(f.script->open() == 1);
}

TEST_CASE("when every idle connection fails its probe, one new connection is made")
{
    scripted f({.max_size = 2, .probe_after = 0ms});
    {
        auto a = f.acquire();
        auto b = f.acquire();
    }
    f.script->peer_alive = false;
    CHECK(number(f.acquire()) == 3);
    CHECK(f.script->attempts == 3);
    CHECK(f.script->open() == 2);
}

TEST_CASE("reset before reuse: a connection is reset when it is next used, not when it is returned")
{
    scripted f;
    f.script->wants_reset = true;
    f.acquire().release();
    CHECK(f.script->resets == 0);
    CHECK(number(f.acquire()) == 1);
    CHECK(f.script->resets == 1);
    CHECK(f.pool.stats().reused == 1);
}

TEST_CASE("reset before reuse: a new connection, and one that needs none, is not reset")
{
    scripted f;
    f.acquire().release();
    f.acquire().release();
    CHECK(f.script->resets == 0);
}

TEST_CASE("reset before reuse: where it fails, a new connection is made")
{
    scripted f({.max_size = 1});
    f.acquire().release();
    f.script->wants_reset = true;
    f.script->reset_works = false;
    CHECK(number(f.acquire()) == 2);
    CHECK(f.pool.stats().closed(close_reason::reset_failed) == 1);
    CHECK(f.script->open() == 1);
}

TEST_CASE(
    "reset before reuse: where it takes longer than connect_timeout, a new connection is made")
{
    manual_clock::reset();
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    loopsafe::connection_pool<stuck_in_reset, keep_alive> pool(
        context, stuck_in_reset(script), {.max_size = 1, .connect_timeout = 3s});
    run_on(context, pool.acquire()).release();
    attempt again(context, pool.acquire());
    run_ready(context);
    CHECK(pool.stats().connecting == 1);
    manual_clock::advance(context, 3s);
    CHECK(number(again.lease()) == 2);
    CHECK(pool.stats().closed(close_reason::reset_failed) == 1);
}

TEST_CASE("reset before reuse: cancelled, it costs the connection and not the slot")
{
    manual_clock::reset();
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    loopsafe::connection_pool<stuck_in_reset, keep_alive> pool(context, stuck_in_reset(script),
                                                               {.max_size = 1});
    run_on(context, pool.acquire()).release();
    attempt again(context, pool.acquire());
    run_ready(context);
    again.cancel();
    CHECK(again.code() == asio::error::operation_aborted);
    CHECK(script->open() == 0);
    CHECK(pool.stats().closed(close_reason::dirty) == 1);
    CHECK(number(run_on(context, pool.acquire())) == 2);
}

TEST_CASE("invalidate-all: idle connections are closed at once, without running the context")
{
    scripted f;
    {
        auto a = f.acquire();
        auto b = f.acquire();
    }
    CHECK(f.pool.stats().idle == 2);
    f.pool.invalidate();
    CHECK(f.script->open() == 0);
    CHECK(f.pool.stats().idle == 0);
    CHECK(f.pool.stats().closed(close_reason::invalidated) == 2);
    CHECK(number(f.acquire()) == 3);
}

TEST_CASE("invalidate-all: leased connections stay usable, and are closed when they come back")
{
    scripted f({.max_size = 1});
    auto old = f.acquire();
    auto waiting = f.start_waiting();
    f.pool.invalidate();
    CHECK(number(old) == 1);
    old.release();
    CHECK(number(waiting.lease()) == 2);
    CHECK(f.pool.stats().closed(close_reason::invalidated) == 1);
    waiting.lease().release();
    CHECK(number(f.acquire()) == 2);
}

TEST_CASE("invalidate-all: it reaches what every context has leased")
{
    scripted<per_context> f;
    asio::io_context other;
    auto here = f.acquire();
    auto there = run_on(other, f.pool.acquire());
    f.pool.invalidate();
    there.release();
    here.release();
    CHECK(f.script->open() == 0);
    CHECK(f.pool.stats().closed(close_reason::invalidated) == 2);
}

TEST_CASE("thaw: idle connections must pass their probe, once, before they are used again")
{
    scripted f;
    {
        auto a = f.acquire();
        auto b = f.acquire();
    }
    f.pool.thaw();
    CHECK(f.script->probes == 0);
    {
        auto a = f.acquire();
        auto b = f.acquire();
        CHECK(f.script->probes == 2);
    }
    auto a = f.acquire();
    CHECK(f.script->probes == 2);
    CHECK(f.script->attempts == 2);
}

TEST_CASE("thaw: idle connections that died in the freeze are replaced")
{
    scripted f({.max_size = 1, .probe_after = loopsafe::never});
    f.acquire().release();
    f.script->peer_alive = false;
    f.pool.thaw();
    CHECK(number(f.acquire()) == 2);
    CHECK(f.pool.stats().closed(close_reason::probe_failed) == 1);
}

TEST_CASE("a clean connection goes back, a discarded one is closed")
{
    scripted f;
    f.acquire().release();
    CHECK(f.pool.stats().idle == 1);
    f.acquire().discard();
    CHECK(f.pool.stats().idle == 0);
    CHECK(f.pool.stats().closed(close_reason::discarded) == 1);
    CHECK(f.script->open() == 0);
}

TEST_CASE("a lease whose connection is in mid-message is closed, and a waiter connects anew")
{
    scripted f({.max_size = 1});
    auto dirty = f.acquire();
    dirty->clean = false;
    auto waiting = f.start_waiting();
    dirty.release();
    CHECK(number(waiting.lease()) == 2);
    CHECK(f.pool.stats().closed(close_reason::dirty) == 1);
}

struct cannot_tell : scripted_connector {
    using scripted_connector::scripted_connector;
    static constexpr bool frames_messages = false;
};

TEST_CASE("a lease that ends in unwinding is closed where its connector cannot know where messages "
          "end")
{
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    const auto fail = [&](auto& pool) {
        const auto lease = run_on(context, pool.acquire());
        throw std::runtime_error("in mid-exchange");
    };
    loopsafe::connection_pool<cannot_tell> blind(context, cannot_tell(script));
    CHECK_THROWS_AS(fail(blind), std::runtime_error);
    CHECK(blind.stats().closed(close_reason::dirty) == 1);
    CHECK(script->open() == 0);
    CHECK(number(run_on(context, blind.acquire())) == 2);

    loopsafe::connection_pool<scripted_connector> knows(context, scripted_connector(script));
    CHECK_THROWS_AS(fail(knows), std::runtime_error);
    CHECK(knows.stats().idle == 1);
    CHECK(number(run_on(context, knows.acquire())) == 3);
}

TEST_CASE("a lease that ends after an exception was handled goes back")
{
    scripted f;
    {
        const auto lease = f.acquire();
        CHECK_THROWS_AS(throw std::runtime_error("handled"), std::runtime_error);
    }
    CHECK(f.pool.stats().idle == 1);
}

TEST_CASE("try_acquire takes an idle connection that needs no look at it, and nothing else")
{
    scripted f({.max_size = 2, .probe_after = 5s});
    const auto executor = f.context.get_executor();
    CHECK_FALSE(f.pool.try_acquire(executor));
    CHECK(f.script->attempts == 0);
    f.acquire().release();
    {
        const auto lease = f.pool.try_acquire(executor);
        CHECK(number(lease) == 1);
        CHECK_FALSE(f.pool.try_acquire(executor));
    }
    SUBCASE("not one that needs a probe")
    {
        manual_clock::move(5s, 5s, 5s);
    }
    SUBCASE("not one that needs a probe after a thaw")
    {
        f.pool.thaw();
    }
    SUBCASE("not one that needs a reset")
    {
        f.script->wants_reset = true;
    }
    SUBCASE("not in a closed pool")
    {
        f.pool.close();
    }
    CHECK_FALSE(f.pool.try_acquire(executor));
    CHECK(f.script->probes == 0);
    CHECK(f.script->resets == 0);
}

TEST_CASE("a pool finds the shelf of each of many contexts, while others come and go")
{
    scripted<per_context> f;
    std::vector<std::unique_ptr<asio::io_context>> contexts(50);
    std::vector<int> expected(contexts.size());
    for (int turn = 0; turn != 3; ++turn) {
        for (std::size_t i = 0; i != contexts.size(); ++i) {
            if (contexts[i] == nullptr) {
                contexts[i] = std::make_unique<asio::io_context>(1);
                expected[i] = number(run_on(*contexts[i], f.pool.acquire()));
            }
        }
        for (std::size_t i = 0; i != contexts.size(); ++i) {
            const auto lease = f.pool.try_acquire(contexts[i]->get_executor());
            REQUIRE(lease);
            CHECK(number(lease) == expected[i]);
        }
        for (std::size_t i = 0; i < contexts.size(); i += 3)
            contexts[i].reset();
    }
    CHECK(f.pool.stats().connects == 50 + 2 * 17);
}

TEST_CASE("try_acquire gives nothing to another context, nor to none")
{
    scripted f;
    asio::io_context other;
    f.acquire().release();
    CHECK_FALSE(f.pool.try_acquire(other.get_executor()));
    CHECK_FALSE(f.pool.try_acquire(asio::any_io_executor()));
    CHECK_FALSE(f.pool.try_acquire(asio::any_io_executor(asio::system_executor())));
    CHECK(f.pool.try_acquire(f.context.get_executor()));
}

} // namespace

} // namespace connection_pool_reuse_tests
