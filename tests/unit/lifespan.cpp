// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lifespan.hpp>
#include <loopsafe/runner.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <support/run_until.hpp>
#include <utility>

namespace lifespan_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::errc;
using loopsafe::lifespan;
using loopsafe::lifespan_mode;

enum class end { well, fails, waits };

// A lifespan of three, which tells what happens.
struct three {
    explicit three(lifespan_mode mode = lifespan_mode::once_per_context) : app(mode)
    {
        for (int i = 0; i != 3; ++i) {
            const auto name = std::to_string(i);
            app.add(
                name, [=, this] { return step("start " + name, starts[i]); },
                [=, this] { return step("stop " + name, stops[i]); });
        }
    }

    asio::awaitable<void> step(std::string what, end how)
    {
        log.push_back(what);
        co_await asio::post(asio::use_awaitable);
        if (how == end::fails)
            throw std::runtime_error(what);
        if (how == end::waits) {
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        }
        log.push_back(what + "ed");
    }

    end starts[3] = {end::well, end::well, end::well};
    end stops[3] = {end::well, end::well, end::well};
    names log;
    lifespan app;
};

template <class Make>
std::string run_text(Make make)
{
    try {
        loopsafe::run(make);
    } catch (const system_error& e) {
        return e.code() == errc::timed_out ? e.what() : e.code().message();
    } catch (const std::exception& e) {
        return e.what();
    }
    return {};
}

asio::awaitable<void> nothing()
{
    co_return;
}

const names all_started{"start 0", "start 0ed", "start 1", "start 1ed", "start 2", "start 2ed"};

TEST_CASE("lifespan: starts in order, and stops in reverse, once for each context")
{
    three it;
    for (int context = 0; context != 2; ++context) {
        it.log.clear();
        loopsafe::run([&]() -> asio::awaitable<void> {
            const auto executor = co_await asio::this_coro::executor;
            CHECK_FALSE(it.app.has_started(executor));
            co_await it.app.start();
            co_await it.app.start();
            CHECK(it.app.has_started(executor));
            CHECK(it.log == all_started);
            it.log.clear();
            if (context == 1) {
                co_await it.app.stop(1s);
                co_await it.app.stop(1s);
                CHECK(it.log ==
                      names{"stop 2", "stop 2ed", "stop 1", "stop 1ed", "stop 0", "stop 0ed"});
            }
        }); // the first dies without a stop
    }
}

TEST_CASE("lifespan: per invocation, and off")
{
    three each(lifespan_mode::per_invocation);
    loopsafe::run([&]() -> asio::awaitable<void> {
        for (int i = 0; i != 2; ++i) {
            each.log.clear();
            co_await each.app.start();
            CHECK(each.log == all_started);
            co_await each.app.stop(1s);
            CHECK(each.log.size() == 12);
        }
    });
    three none(lifespan_mode::off);
    loopsafe::run([&]() -> asio::awaitable<void> {
        co_await none.app.start();
        co_await none.app.stop(1s);
    });
    CHECK(none.log.empty());
}

TEST_CASE("lifespan: a start that fails stops those before it, in reverse")
{
    three it;
    it.starts[2] = end::fails;
    it.stops[1] = end::fails;
    std::string first;
    const auto main = [&]() -> asio::awaitable<void> {
        try {
            co_await it.app.start();
        } catch (const std::runtime_error& e) {
            first = e.what();
        }
        CHECK_FALSE(it.app.has_started(co_await asio::this_coro::executor));
    };
    CHECK(run_text(main) == "stop 1");
    CHECK(first == "start 2");
    CHECK(it.log == names{"start 0", "start 0ed", "start 1", "start 1ed", "start 2", "stop 1",
                          "stop 0", "stop 0ed"});
}

TEST_CASE("lifespan: one budget for all stops, and a failure keeps none from running")
{
    three late;
    late.stops[1] = end::waits;
    std::string text;
    // Until the budget is long enough for the hook before it, on this machine.
    for (auto budget = 1ms; late.log.empty() || late.log.back() != "stop 1"; budget *= 2) {
        const auto slow = [&]() -> asio::awaitable<void> {
            co_await late.app.start();
            late.log.clear();
            co_await late.app.stop(budget);
        };
        text = run_text(slow);
    }
    CHECK(text.find("stopping \"1\"") != std::string::npos);
    CHECK(late.log == names{"stop 2", "stop 2ed", "stop 1"});

    three bad;
    bad.stops[2] = bad.stops[1] = end::fails;
    const auto fails = [&]() -> asio::awaitable<void> {
        co_await bad.app.start();
        bad.log.clear();
        co_await bad.app.stop(1s);
    };
    CHECK(run_text(fails) == "stop 2");
    CHECK(bad.log == names{"stop 2", "stop 1", "stop 0", "stop 0ed"});
}

TEST_CASE("lifespan: a stop hook is not so much as called when the budget is spent")
{
    int called = 0;
    lifespan app;
    app.add(
        "one", [] { return nothing(); },
        [&] {
            ++called;
            return nothing();
        });
    const auto main = [&]() -> asio::awaitable<void> {
        co_await app.start();
        co_await app.stop(0ms);
    };
    CHECK(run_text(main).find("stopping \"one\"") != std::string::npos);
    CHECK(called == 0);
}

TEST_CASE("lifespan: cancelled at every point, what has started is stopped")
{
    bool was_over = false;
    for (int steps = 0; !was_over; ++steps) {
        REQUIRE(steps < 60);
        CAPTURE(steps);
        three it;
        asio::io_context context(1);
        asio::cancellation_signal signal;
        bool ended = false, started = false;
        const auto main = [&]() -> asio::awaitable<void> {
            co_await it.app.start();
            started = true;
            co_await it.app.stop(1h);
        };
        asio::co_spawn(context, main(),
                       asio::bind_cancellation_slot(
                           signal.slot(), [&](const std::exception_ptr&) { ended = true; }));
        for (int i = 0; i != steps && context.poll_one() != 0; ++i) {}
        was_over = ended;
        signal.emit(asio::cancellation_type::terminal);
        context.restart();
        context.run();
        CHECK(ended);
        int balance = 0;
        for (const auto& each : it.log)
            balance += each.ends_with("ed") ? (each.starts_with("start") ? 1 : -1) : 0;
        CHECK((balance == 0 || started)); // where stop() itself did not begin
    }
}

TEST_CASE(
    "lifespan: a context that dies in a start or a stop leaves nothing, and the next one starts")
{
    bool was_over = false;
    three it;
    for (int steps = 0; !was_over; ++steps) {
        REQUIRE(steps < 60);
        CAPTURE(steps);
        int frames = 0;
        {
            asio::io_context dies(1);
            const auto main = [&]() -> asio::awaitable<void> {
                struct counted {
                    explicit counted(int& of) : n(of) { ++n; }
                    ~counted() { --n; }
                    int& n;
                };
                const counted here(frames);
                co_await it.app.start();
                co_await it.app.stop(1h);
            };
            asio::co_spawn(dies, main(), [&](const std::exception_ptr&) { was_over = true; });
            for (int i = 0; i != steps && dies.poll_one() != 0; ++i) {}
        }
        CHECK(frames == 0);
        it.log.clear();
        loopsafe::run([&]() -> asio::awaitable<void> {
            const auto executor = co_await asio::this_coro::executor;
            CHECK_FALSE(it.app.has_started(executor));
            co_await it.app.start();
            CHECK(it.log == all_started);
            co_await it.app.stop(1s);
            CHECK_FALSE(it.app.has_started(executor));
        });
    }
}

} // namespace

} // namespace lifespan_tests
