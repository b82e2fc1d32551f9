// SPDX-License-Identifier: BSL-1.0
#include "race.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

namespace waiting_callers_tests {

// Contexts die while coroutines of theirs wait in the queue of a pool, or have been granted a
// connection and do not know it yet, and other threads go on using the pool.

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using loopsafe::testing::connect_script;
using loopsafe::testing::run_on;
using loopsafe::testing::scripted_connector;

template <class Policy>
using pool_with = loopsafe::connection_pool<scripted_connector, Policy>;

template <class Policy>
struct scene {
    using pool = pool_with<Policy>;
    using lease = typename pool::lease_type;

    explicit scene(std::size_t size) : max_size(size) { make_pool(); }

    std::size_t max_size;
    std::shared_ptr<connect_script> script = std::make_shared<connect_script>();
    std::optional<pool> connections;

    void make_pool()
    {
        connections.emplace(scripted_connector(script),
                            typename pool::options{.max_size = max_size});
    }

    // Nothing is out, and every place can be taken again.
    void check_all_back()
    {
        const auto stats = connections->stats();
        CHECK(stats.leased == 0);
        CHECK(stats.connecting == 0);
        CHECK(stats.waiting == 0);
        CHECK(stats.idle == 0);
        CHECK(script->open() == 0);
        asio::io_context fresh;
        std::vector<lease> taken;
        for (std::size_t i = 0; i != max_size; ++i)
            taken.push_back(run_on(fresh, connections->acquire({.timeout = 0ms})));
        CHECK_THROWS_AS(run_on(fresh, connections->acquire({.timeout = 0ms})),
                        loopsafe::pool_error);
        CHECK(script->open() == int(max_size));
    }
};

// How the acquires of a crowd ended.
struct outcomes {
    std::atomic<int> granted{0};
    std::atomic<int> timed_out{0};
    std::atomic<int> cancelled{0};
    std::atomic<int> begun{0};

    int cut_off() const { return begun - granted - timed_out - cancelled; }
};

asio::awaitable<void> let_others_run(int times)
{
    while (times-- > 0)
        co_await asio::post(asio::use_awaitable);
}

template <class Policy>
asio::awaitable<void> acquire_once(scene<Policy>& s, outcomes& seen, int patience, int use)
{
    using namespace asio::experimental::awaitable_operators;
    ++seen.begun;
    try {
        if (patience % 3 == 0) {
            auto first = co_await (s.connections->acquire({.timeout = loopsafe::never}) ||
                                   let_others_run(patience));
            ++(first.index() == 0 ? seen.granted : seen.cancelled);
        } else {
            const auto lease = co_await s.connections->acquire(
                {.timeout = std::chrono::milliseconds(patience % 2)});
            ++seen.granted;
            co_await let_others_run(use);
        }
    } catch (const loopsafe::pool_error&) {
        ++seen.timed_out;
    }
}

int below(int limit, std::minstd_rand& random)
{
    return static_cast<int>(random() % static_cast<unsigned>(limit));
}

template <class Policy>
asio::awaitable<void> acquire_often(scene<Policy>& s, outcomes& seen, std::minstd_rand random)
{
    for (int i = 0; i != 20; ++i) {
        const auto patience = below(40, random);
        co_await acquire_once(s, seen, patience, below(10, random));
    }
}

// Runs handlers, a bounded number of them, and gives up the processor where there are none.
void run_some(asio::io_context& context, int steps)
{
    for (; steps != 0; --steps) {
        if (context.poll_one() == 0)
            std::this_thread::yield();
    }
}

constexpr unsigned threads = 3;
constexpr int contexts_each = 400;
constexpr int crowd = 8; // coroutines on each context

template <class Policy>
void make_and_destroy_contexts(scene<Policy>& s, outcomes& seen, std::minstd_rand random)
{
    for (int i = 0; i != contexts_each; ++i) {
        asio::io_context context;
        for (int j = 0; j != crowd; ++j) {
            random.discard(1);
            asio::co_spawn(asio::any_io_executor(asio::make_strand(context)),
                           acquire_often(s, seen, random), asio::detached);
        }
        std::jthread second;
        if (i % 8 == 0) {
            second =
                std::jthread([&context, steps = below(400, random)] { run_some(context, steps); });
        }
        run_some(context, below(400, random));
    }
}

} // namespace

TEST_CASE_TEMPLATE(
    "contexts die with acquirers queued and granted, and every place comes back (rule 3)", Policy,
    loopsafe::null_pool, loopsafe::per_context_pool)
{
    scene<Policy> s(2);
    outcomes seen;
    {
        std::vector<std::jthread> running;
        for (unsigned i = 1; i <= threads; ++i)
            running.emplace_back(
                [&, i] { make_and_destroy_contexts(s, seen, std::minstd_rand(i)); });
    }
    CHECK(seen.granted > 0);
    CHECK(seen.timed_out > 0);
    CHECK(seen.cancelled > 0);
    CHECK(seen.cut_off() > 0);
    s.check_all_back();
}

namespace {

using null_scene = scene<loopsafe::null_pool>;
using per_context_scene = scene<loopsafe::per_context_pool>;

// Waits for a connection, and holds it until its context dies.
template <class Policy>
asio::awaitable<void> hold(scene<Policy>& s, int& got)
{
    try {
        const auto lease = co_await s.connections->acquire({.timeout = loopsafe::never});
        ++got;
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::use_awaitable);
    } catch (const loopsafe::pool_error&) { // the pool was closed
    }
}

// What is left of one pool after another.
struct leftovers {
    std::size_t busy = 0;
    int open = 0;

    void look(const null_scene& s)
    {
        open += s.script->open();
        if (s.connections) {
            const auto stats = s.connections->stats();
            busy += stats.leased + stats.connecting + stats.waiting;
        }
    }

    void check()
    {
        CHECK(busy == 0);
        CHECK(open == 0);
    }
};

} // namespace

TEST_CASE("another thread closes a pool while contexts with acquirers in its queue die (rule 3)")
{
    null_scene s(4);
    leftovers left;
    std::array<int, race::owners> got{};
    const auto fill = [&](std::size_t owner, race::contexts& on) {
        for (auto& each : on.all) {
            for (int i = 0; i != 3; ++i)
                asio::co_spawn(*each, hold(s, got[owner]), asio::detached);
            while (each->poll() != 0) {}
        }
    };
    const auto begin = [&] { s.make_pool(); };
    const auto end = [&] { left.look(s); };
    SUBCASE("by close()")
    {
        race::run(begin, fill, [&] { s.connections->close(); }, end);
    }
    SUBCASE("by destroying it")
    {
        race::run(begin, fill, [&] { s.connections.reset(); }, end);
    }
    left.check();
    CHECK(got[0] + got[1] > 0);
}

TEST_CASE(
    "a context dies that waits for a pool to drain, while the last leases end elsewhere (rule 3)")
{
    null_scene s(race::owners * race::contexts::size);
    leftovers left;
    std::array<int, race::owners> got{};
    const auto fill = [&](std::size_t owner, race::contexts& on) {
        for (auto& each : on.all) {
            asio::co_spawn(*each, hold(s, got[owner]), asio::detached);
            while (each->poll() != 0) {}
        }
    };
    const auto wait_and_die = [&] {
        asio::io_context context;
        asio::co_spawn(context, s.connections->async_close(loopsafe::never, asio::use_awaitable),
                       asio::detached);
        context.poll();
    };
    race::run([&] { s.make_pool(); }, fill, wait_and_die, [&] { left.look(s); });
    left.check();
    CHECK(got[0] + got[1] == race::rounds * int(race::owners * race::contexts::size));
}

namespace {

// A frame of a dying context that lets another thread act, and is destroyed when that has acted. It
// orders nothing else between the threads, so that a sanitizer sees whatever needs an order.
class interval {
public:
    asio::awaitable<void> let_act_at_the_end()
    {
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        const guard at_the_end{*this}; // before the timer, which takes a lock
        co_await timer.async_wait(asio::use_awaitable);
    }

    template <class Act>
    void act(Act f)
    {
        wait_for(begun_);
        f();
        over_.store(true, std::memory_order_relaxed);
    }

private:
    struct guard {
        interval& of;
        ~guard()
        {
            of.begun_.store(true, std::memory_order_relaxed);
            wait_for(of.over_);
        }
    };

    static void wait_for(const std::atomic<bool>& flag)
    {
        while (!flag.load(std::memory_order_relaxed))
            std::this_thread::yield();
    }

    std::atomic<bool> begun_{false};
    std::atomic<bool> over_{false};
};

} // namespace

TEST_CASE("the last lease ends on another thread while a context dies that waits for the pool to "
          "drain (rule 3)")
{
    null_scene s(1);
    asio::io_context holder;
    std::optional<asio::io_context> dying(std::in_place);
    auto lease = run_on(holder, s.connections->acquire());
    interval between;
    int drained = 0;
    // Whichever end Asio begins with, such a frame goes before the one that waits for the pool.
    asio::co_spawn(*dying, between.let_act_at_the_end(), asio::detached);
    dying->poll();
    s.connections->async_close(loopsafe::never,
                               asio::bind_executor(*dying, [&](auto&&...) { ++drained; }));
    dying->poll();
    asio::co_spawn(*dying, between.let_act_at_the_end(), asio::detached);
    dying->poll();
    std::jthread other([&] { between.act([&] { lease.release(); }); });
    dying.reset();
    other.join();
    CHECK(drained == 0);
    CHECK(s.connections->stats().leased == 0);
    CHECK(s.script->open() == 0);
}

namespace {

// A lease is out; one waits for its place on a context that will die, and one behind it.
struct two_wait {
    two_wait()
    {
        asio::co_spawn(*dying, hold(s, first), asio::detached);
        dying->poll();
        asio::co_spawn(next, hold(s, second), asio::detached);
        next.poll();
    }

    void check_that_the_second_had_it()
    {
        while (next.poll() != 0) {}
        CHECK(first == 0);
        CHECK(second == 1);
    }

    null_scene s{1};
    int first = 0;
    int second = 0;
    asio::io_context holder;
    std::optional<asio::io_context> dying{std::in_place};
    asio::io_context next;
    decltype(run_on(holder, s.connections->acquire())) lease =
        run_on(holder, s.connections->acquire());
};

} // namespace

TEST_CASE(
    "a place granted to an acquirer whose context dies before it notices goes to the next (rule 3)")
{
    two_wait t;
    REQUIRE(t.s.connections->stats().waiting == 2);
    t.lease.release();
    REQUIRE(t.s.connections->stats().waiting == 1);
    t.dying.reset();
    t.check_that_the_second_had_it();
    CHECK(t.s.connections->stats().waiting == 0);
    CHECK(t.s.script->open() == 1);
}

TEST_CASE("a connection granted to an acquirer whose context dies before it notices dies as well "
          "(rule 3)")
{
    per_context_scene s(1);
    int got = 0;
    std::optional<asio::io_context> context(std::in_place);
    auto lease = run_on(*context, s.connections->acquire());
    asio::co_spawn(*context, hold(s, got), asio::detached);
    context->restart();
    context->poll();
    REQUIRE(s.connections->stats().waiting == 1);
    lease.release();
    REQUIRE(s.connections->stats().waiting == 0);
    context.reset();
    CHECK(got == 0);
    s.check_all_back();
}

TEST_CASE("an acquirer whose context dies leaves the queue to those behind it (rule 3)")
{
    two_wait t;
    t.dying.reset();
    REQUIRE(t.s.connections->stats().waiting == 1);
    t.lease.release();
    t.check_that_the_second_had_it();
}

} // namespace waiting_callers_tests
