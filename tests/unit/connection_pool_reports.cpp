// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <support/scripted.hpp>

namespace connection_pool_reports_tests {

namespace {

using namespace support;
using loopsafe::context_error;
using loopsafe::name_context;
using loopsafe::pool_error;
using loopsafe::pool_event;
using loopsafe::testing::mortal_context;

// What happened, in words.
std::function<void(const pool_event&)> record(names& events)
{
    return [&events](const pool_event& e) {
        std::string text;
        switch (e.what) {
        case pool_event::kind::connected: text = "connected"; break;
        case pool_event::kind::connect_failed:
            text = "connect failed: " + (e.error ? text_of(e.error) : std::string("too slow"));
            break;
        case pool_event::kind::closed:
            text = "closed " + std::to_string(static_cast<int>(e.reason));
            break;
        case pool_event::kind::refused: text = "refused"; break;
        case pool_event::kind::acquire_timed_out: text = "timed out"; break;
        case pool_event::kind::waited: text = "waited"; break;
        case pool_event::kind::returned: return; // see the test of how long it took
        case pool_event::kind::parked: text = "parked"; break;
        case pool_event::kind::adopted: text = "adopted"; break;
        case pool_event::kind::dropped:
            text = "dropped " + std::to_string(static_cast<int>(e.reason));
            break;
        }
        events.push_back(std::string(e.pool) + ' ' + text);
    };
}

std::string closed_because(close_reason why)
{
    return "db closed " + std::to_string(static_cast<int>(why));
}

constexpr const char* cure = "\n  cure:  make the pool inside the context that uses it, or choose "
                             "null_pool (a new connection each time), per_context_pool (each "
                             "context keeps its own) or carry_over_pool (the next context gets "
                             "what the last one leaves)";

const std::string too_few = "\n  cure:  end leases sooner, or raise max_size or acquire_timeout; a "
                            "coroutine that acquires a second lease while it holds one needs room "
                            "for both";

TEST_CASE("a pool refuses another living context, saying which contexts met and what to do")
{
    asio::io_context home;
    asio::io_context other;
    const auto script = std::make_shared<connect_script>();
    const auto made = next_line();
    loopsafe::connection_pool pool(home, scripted_connector(script), {.name = "db"});
    const auto named = next_line();
    name_context(other, "worker");
    const auto used = next_line();
    const auto ask = [&] { run_on(other, pool.acquire()); };
    const auto error = thrown_by<context_error>(ask);
    CHECK(error.code() == errc::wrong_context);
    CHECK(text_of(error) == "connection pool \"db\": used from a context that is not its home"
                            "\n  home:  context #" +
                                number_of(home) + ", first seen at " + made +
                                ", alive"
                                "\n  asked: context #" +
                                number_of(other) + " \"worker\", named at " + named +
                                ", alive"
                                "\n  used:  acquire at " +
                                used + cure);
    CHECK(script->attempts == 0);
}

TEST_CASE("after a refusal the pool is as usable from its home as before")
{
    scripted f({.max_size = 1});
    asio::io_context other;
    for (int i = 0; i != 3; ++i)
        CHECK_THROWS_AS(run_on(other, f.pool.acquire()), context_error);
    CHECK(f.pool.stats().refused == 3);
    CHECK(number(f.acquire()) == 1);
}

TEST_CASE("a pool whose home is gone refuses, also the context that has the address of the home")
{
    mortal_context context;
    const auto script = std::make_shared<connect_script>();
    const auto made = next_line();
    loopsafe::connection_pool pool(*context, scripted_connector(script));
    const auto number = number_of(*context);
    context.reborn();
    const auto used = next_line();
    const auto ask = [&] { run_on(*context, pool.acquire()); };
    const auto error = thrown_by<context_error>(ask);
    CHECK(error.code() == errc::context_closed);
    CHECK(text_of(error) == "connection pool: its home context is gone"
                            "\n  home:  context #" +
                                number + ", first seen at " + made +
                                ", gone"
                                "\n  asked: context #" +
                                number_of(*context) + ", first seen at " + used +
                                ", alive"
                                "\n  used:  acquire at " +
                                used + cure);
}

TEST_CASE("a coroutine that names no context is refused")
{
    asio::io_context home;
    const auto script = std::make_shared<connect_script>();
    loopsafe::connection_pool pool(home, scripted_connector(script));
    const auto ask = [&] {
        asio::co_spawn(asio::any_io_executor(asio::system_executor()), pool.acquire(),
                       asio::use_future)
            .get();
    };
    const auto error = thrown_by<context_error>(ask);
    CHECK(error.code() == errc::no_context);
    CHECK_FALSE(error.report().asked);
    CHECK(error.report().home.number == loopsafe::context_of(home).id().number());
}

TEST_CASE("a pool cannot be made without a context")
{
    const auto script = std::make_shared<connect_script>();
    std::string used;
    const auto make = [&] {
        used = next_line();
        loopsafe::connection_pool(asio::system_executor(), scripted_connector(script));
    };
    const auto error = thrown_by<context_error>(make);
    CHECK(error.code() == errc::no_context);
    CHECK(text_of(error) == "connection pool: the caller names no context"
                            "\n  home:  no context"
                            "\n  asked: no context"
                            "\n  used:  construction at " +
                                used + "\n  cure:  give the pool an io_context or its executor");
    CHECK_THROWS_AS(loopsafe::connection_pool(asio::any_io_executor(), scripted_connector(script)),
                    context_error);
}

TEST_CASE("who holds what, from where, when an acquire times out")
{
    scripted f({.max_size = 2, .acquire_timeout = 3s, .name = "db"});
    const auto first_place = next_line();
    const auto first = run_on(f.context, f.pool.acquire());
    f.advance(1500ms);
    const auto second_place = next_line();
    const auto second = run_on(f.context, f.pool.acquire());
    f.advance(20ms);
    const auto used = next_line();
    attempt late(f.context, f.pool.acquire());
    run_until(f.context, [&] { return f.pool.stats().waiting == 1; });
    f.advance(3s);
    CHECK(late.text() ==
          "connection pool \"db\": no connection became free in time"
          "\n  used:  acquire at " +
              used +
              "\n  state: max_size 2, max_waiting 1000, leased 2, connecting 0, idle 0, waiting 0"
              "\n  held:  by " +
              first_place + " in context #" + number_of(f.context) +
              " for 4520 ms"
              "\n  held:  by " +
              second_place + " in context #" + number_of(f.context) + " for 3020 ms" + too_few);
}

TEST_CASE("who holds what is asked of the pool at any time, as far as one wants to know")
{
    scripted f;
    auto a = f.acquire();
    const auto place = std::source_location::current().line() + 1;
    auto b = run_on(f.context, f.pool.acquire());
    f.advance(2s);
    CHECK(f.pool.holders().size() == 2);
    CHECK(f.pool.holders(1).size() == 1);
    CHECK(f.pool.holders(0).empty());
    CHECK(f.pool.holders(std::numeric_limits<std::size_t>::max()).size() == 2);
    a.release();
    REQUIRE(f.pool.holders().size() == 1);
    const auto holder = f.pool.holders().front();
    CHECK(holder.where.line() == place);
    CHECK(holder.held_for == 2s);
    CHECK(holder.context_number == loopsafe::context_of(f.context).id().number());
    b.release();
    CHECK(f.pool.holders().empty());
}

TEST_CASE("who holds what is known of a warm acquire, too")
{
    scripted f;
    f.acquire().release();
    f.advance(100ms);
    const auto place = std::source_location::current().line() + 1;
    const auto lease = run_on(f.context, f.pool.acquire());
    f.advance(30ms);
    REQUIRE(f.pool.holders().size() == 1);
    CHECK(f.pool.holders().front().where.line() == place);
    CHECK(f.pool.holders().front().held_for == 30ms);
}

TEST_CASE("a full queue, a closed pool and a slow connect are reported with the pool's state")
{
    scripted f({.max_size = 1, .max_waiting = 0, .connect_timeout = 3s});
    f.script->plan({outcome::never});
    const auto place = next_line();
    attempt slow(f.context, f.pool.acquire());
    run_until(f.context, [&] { return f.script->attempts == 1; });
    const auto refused = next_line();
    attempt full(f.context, f.pool.acquire());
    CHECK(full.text() ==
          "connection pool: too many callers are already waiting"
          "\n  used:  acquire at " +
              refused +
              "\n  state: max_size 1, max_waiting 0, leased 0, connecting 1, idle 0, waiting 0"
              "\n  cure:  raise max_waiting or max_size, or begin less at the same "
              "time");
    f.advance(3s);
    CHECK(slow.text() ==
          "connection pool: no connection could be made in time"
          "\n  used:  acquire at " +
              place +
              "\n  state: max_size 1, max_waiting 0, leased 0, connecting 1, idle 0, waiting 0"
              "\n  last connect error: scripted: Operation canceled [system:125]"
              "\n  cure:  see whether the server can be reached, or raise "
              "connect_timeout");
    f.pool.close();
    const auto closed = next_line();
    attempt late(f.context, f.pool.acquire());
    CHECK(late.text() ==
          "connection pool: the pool is closed"
          "\n  used:  acquire at " +
              closed +
              "\n  state: max_size 1, max_waiting 0, leased 0, connecting 0, idle 0, waiting 0"
              "\n  last connect error: scripted: Operation canceled [system:125]");
}

TEST_CASE("an acquire that times out tells of the last connect that failed")
{
    scripted f({.max_size = 1});
    f.script->plan({outcome::fail, outcome::never});
    CHECK(f.start().code() == asio::error::connection_refused);
    auto stuck = f.start();
    run_until(f.context, [&] { return f.script->attempts == 2; });
    auto waiting = f.start({.timeout = 0ms});
    CHECK(waiting.text().ends_with(
        "\n  last connect error: scripted: Connection refused [system:111]" + too_few));
}

TEST_CASE("what the connector throws reaches the caller as it is")
{
    struct peculiar {
        int code;
    };
    struct thrower : scripted_connector {
        using scripted_connector::scripted_connector;
        asio::awaitable<connection_type> connect(asio::any_io_executor) const
        {
            throw peculiar{7};
            co_return connection_type(nullptr, {});
        }
    };
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    loopsafe::connection_pool pool(context, thrower(script), {.max_size = 1});
    for (int i = 0; i != 2; ++i) {
        const auto ask = [&] { run_on(context, pool.acquire()); };
        CHECK(thrown_by<peculiar>(ask).code == 7);
    }
    CHECK(pool.stats().connect_failures == 2);
    CHECK(pool.stats().connecting == 0);
}

TEST_CASE("statistics: every connection and every caller is counted where it is")
{
    scripted f({.max_size = 1});
    f.script->plan({outcome::never});
    auto connecting = f.start();
    run_until(f.context, [&] { return f.script->attempts == 1; });
    auto waiting = f.start_waiting();
    auto stats = f.pool.stats();
    CHECK(stats.connecting == 1);
    CHECK(stats.waiting == 1);
    CHECK(stats.leased == 0);
    CHECK(stats.idle == 0);
    connecting.cancel();
    waiting.lease();
    stats = f.pool.stats();
    CHECK(stats.connecting == 0);
    CHECK(stats.waiting == 0);
    CHECK(stats.leased == 1);
    waiting.lease().release();
    stats = f.pool.stats();
    CHECK(stats.leased == 0);
    CHECK(stats.idle == 1);
}

TEST_CASE("statistics: what has happened adds up")
{
    scripted f({.max_size = 1, .probe_after = 0ms});
    f.script->plan({outcome::fail});
    CHECK(f.start().code());
    f.acquire().release();
    f.acquire().release();
    f.script->peer_alive = false;
    f.acquire().discard();
    const auto stats = f.pool.stats();
    CHECK(stats.acquired == 3);
    CHECK(stats.reused == 1);
    CHECK(stats.connects == 2);
    CHECK(stats.connect_failures == 1);
    CHECK(stats.closed(close_reason::probe_failed) == 1);
    CHECK(stats.closed(close_reason::discarded) == 1);
    CHECK(stats.closed() == 2);
}

TEST_CASE("hooks: on_event tells of every connect, failure, close, refusal and time-out")
{
    names events;
    scripted f({.max_size = 1, .connect_timeout = 3s, .name = "db"});
    f.pool.on_event(record(events));
    asio::io_context other;
    f.acquire().release();
    CHECK(std::exchange(events, {}) == names{"db connected"});

    CHECK_THROWS_AS(run_on(other, f.pool.acquire()), context_error);
    CHECK(std::exchange(events, {}) == names{"db refused"});

    {
        auto lease = f.acquire();
        CHECK(f.start({.timeout = 0ms}).code() == errc::acquire_timeout);
        CHECK(std::exchange(events, {}) == names{"db timed out"});
        lease.discard();
        CHECK(std::exchange(events, {}) == names{closed_because(close_reason::discarded)});
    }

    f.script->plan({outcome::fail, outcome::never});
    CHECK(f.start().code());
    CHECK(std::exchange(events, {}) ==
          names{"db connect failed: scripted: Connection refused [system:111]"});
    auto slow = f.start();
    run_until(f.context, [&] { return f.script->attempts == 3; });
    f.advance(3s);
    CHECK(slow.code() == errc::connect_timeout);
    CHECK(std::exchange(events, {}) == names{"db connect failed: too slow"});

    f.acquire().release();
    events.clear();
    f.pool.close();
    CHECK(events == names{closed_because(close_reason::pool_closed)});
}

TEST_CASE("hooks: on_event tells how long a connect, a wait and a use took")
{
    std::vector<std::pair<pool_event::kind, std::chrono::nanoseconds>> told;
    const auto since = [&told] { return std::exchange(told, {}); };
    using times = decltype(told);
    using kind = pool_event::kind;
    scripted f({.max_size = 1, .acquire_timeout = 9s, .connect_timeout = 3s});
    f.pool.on_event([&](const pool_event& e) { told.emplace_back(e.what, e.took); });
    f.script->plan({outcome::never});
    auto slow = f.start();
    run_until(f.context, [&] { return f.script->attempts == 1; });
    f.advance(3s);
    CHECK(slow.code() == errc::connect_timeout);
    CHECK(since() == times{{kind::connect_failed, 3s}});

    auto lease = f.acquire();
    CHECK(since() == times{{kind::connected, 0s}});
    auto second = f.start_waiting();
    f.advance(5s);
    lease.release();
    second.lease();
    CHECK(since() == times{{kind::returned, 5s}, {kind::waited, 5s}});
    auto third = f.start_waiting();
    f.advance(9s);
    CHECK(third.code() == errc::acquire_timeout);
    second.lease().release();
    CHECK(since() == times{{kind::acquire_timed_out, 9s}, {kind::returned, 9s}});

    auto warm = f.acquire();
    f.advance(1s);
    warm.discard();
    CHECK(since() == times{{kind::returned, 1s}, {kind::closed, 0s}});

    struct slow_connector : scripted_connector {
        using scripted_connector::scripted_connector;
        asio::awaitable<connection_type> connect(asio::any_io_executor executor) const
        {
            manual_clock::move(2s, 2s, 2s);
            co_return co_await scripted_connector::connect(executor);
        }
    };
    auto pool = make_pool<slow_connector, keep_alive>(f.context, slow_connector(f.script), {});
    pool.on_event([&](const pool_event& e) { told.emplace_back(e.what, e.took); });
    run_on(f.context, pool.acquire()).release();
    CHECK(since() == times{{kind::connected, 2s}, {kind::returned, 0s}});
}

TEST_CASE("hooks: on_event may destroy the pool when it hears of a use or a wait")
{
    using kind = pool_event::kind;
    for (const auto wanted : {kind::connected, kind::returned, kind::waited}) {
        CAPTURE(to_string(wanted));
        asio::io_context context;
        const auto script = std::make_shared<connect_script>();
        using pool_type = loopsafe::connection_pool<scripted_connector>;
        std::optional<pool_type> pool;
        pool.emplace(context, scripted_connector(script), pool_type::options{.max_size = 1});
        int told = 0;
        pool->on_event([&](const pool_event& e) {
            if (e.what != wanted)
                return;
            ++told;
            pool.reset();
        });
        attempt first(context, pool->acquire());
        attempt second(context, pool->acquire());
        first.lease().release();
        if (wanted == kind::waited)
            second.lease().release();
        context.poll();
        CHECK(told == 1);
        CHECK(script->open() == 0);
    }
}

TEST_CASE("hooks: what on_event throws is dropped, and the pool works on")
{
    int called = 0;
    scripted f;
    f.pool.on_event([&](const pool_event&) {
        ++called;
        throw std::runtime_error("from the hook");
    });
    asio::io_context other;
    f.acquire().discard();
    CHECK(called == 3); // connected, returned, closed
    CHECK_THROWS_AS(run_on(other, f.pool.acquire()), context_error);
    CHECK(called == 4);
    CHECK(number(f.acquire()) == 2);
}

TEST_CASE("hooks: on_event may call the pool, since no lock is held")
{
    scripted f;
    std::size_t closed = 0;
    f.pool.on_event([&](const pool_event& e) {
        if (e.what == pool_event::kind::closed)
            closed = f.pool.stats().closed();
        else
            f.pool.thaw();
    });
    f.acquire().discard();
    CHECK(closed == 1);
    f.pool.on_event({});
}

TEST_CASE("hooks: on_event is not called while a context is destroyed, in a forked child neither")
{
    for (const auto why : {close_reason::context_died, close_reason::forked}) {
        names events;
        mortal_context context;
        const auto script = std::make_shared<connect_script>();
        loopsafe::connection_pool pool(*context, scripted_connector(script), {.name = "db"});
        pool.on_event(record(events));
        auto lease = run_on(*context, pool.acquire());
        run_on(*context, pool.acquire()).release();
        events.clear();
        if (why == close_reason::forked)
            loopsafe::detail::note_fork(); // as the child's first act
        context.die();
        CHECK(script->open() == 0);
        CHECK(events.empty());
        CHECK(pool.stats().closed(why) == 2);
    }
}

} // namespace

} // namespace connection_pool_reports_tests
