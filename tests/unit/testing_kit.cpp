// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/testing/manual_clock.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/as_tuple.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <support/run_until.hpp>

namespace testing_kit_tests {

namespace {

using namespace support;
using loopsafe::testing::connect_script;
using loopsafe::testing::manual_clock;
using loopsafe::testing::mortal_context;
using loopsafe::testing::scripted_connector;
using outcome = connect_script::outcome;

TEST_CASE("run_on gives the result of an operation, or throws what it throws")
{
    asio::io_context context;
    const auto give = []() -> asio::awaitable<int> { co_return 42; };
    const auto fail = []() -> asio::awaitable<int> {
        throw std::runtime_error("no");
        co_return 0;
    };
    const auto nothing = []() -> asio::awaitable<void> { co_return; };
    CHECK(run_on(context, give()) == 42);
    CHECK_THROWS_WITH_AS(run_on(context, fail()), "no", std::runtime_error);
    run_on(context, nothing());
}

TEST_CASE("run_on says when nothing can wake the operation")
{
    asio::io_context context;
    const auto stuck = []() -> asio::awaitable<int> {
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>([](auto&&) {},
                                                                             asio::use_awaitable);
        co_return 0;
    };
    CHECK_THROWS_WITH_AS(run_on(context, stuck()),
                         "testing::run_on: nothing will wake the operation", std::logic_error);
}

TEST_CASE("run_on lets go of an operation that other work of the context tore it away from")
{
    asio::io_context context;
    asio::steady_timer timer(context, asio::steady_timer::time_point::max());
    const auto sleep = [&]() -> asio::awaitable<std::string> {
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        co_return "a string too long for the small buffer";
    };
    asio::post(context, [] { throw std::runtime_error("from other work"); });
    CHECK_THROWS_WITH_AS(run_on(context, sleep()), "from other work", std::runtime_error);
    run_ready(context);
    timer.cancel();
    run_ready(context);
    CHECK(context.stopped());
}

TEST_CASE("a manual clock stands until it is moved")
{
    manual_clock::reset();
    const auto start = manual_clock::now();
    const auto cheap = manual_clock::cheap();
    CHECK(manual_clock::now() == start);
    manual_clock::move(1s, 2s, 3s);
    CHECK(manual_clock::now() - start == 1s);
    CHECK(manual_clock::cheap() - cheap == 3s);
    const auto reading = manual_clock::read();
    CHECK(reading.monotonic == start.time_since_epoch() + 1s);
    CHECK(reading.boot == start.time_since_epoch() + 2s);
    CHECK(reading.wall == cheap + 3s);
}

TEST_CASE("a manual clock counts how often all three clocks were read")
{
    manual_clock::reset();
    CHECK(manual_clock::readings() == 0);
    manual_clock::read();
    manual_clock::read();
    manual_clock::cheap();
    manual_clock::now();
    CHECK(manual_clock::readings() == 2);
    manual_clock::reset();
    CHECK(manual_clock::readings() == 0);
}

TEST_CASE("timers of a manual clock complete when it has been advanced so far, and not before")
{
    manual_clock::reset();
    asio::io_context context;
    manual_clock::timer timer(context);
    bool fired = false;
    timer.expires_after(10s);
    timer.async_wait([&](const boost::system::error_code& ec) { fired = !ec; });
    manual_clock::advance(context, 9s);
    run_ready(context);
    CHECK_FALSE(fired);
    manual_clock::advance(context, 1s);
    run_until(context, [&] { return fired; });
}

TEST_CASE("scripted connects end as planned, and well after that")
{
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    const scripted_connector connector(script);
    script->plan({outcome::fail, outcome::ok});
    script->plan({outcome::fail});
    const auto connect = [&] { return run_on(context, connector.connect(context.get_executor())); };
    CHECK_THROWS_AS(connect(), boost::system::system_error);
    CHECK(connect().number() == 1);
    CHECK_THROWS_AS(connect(), boost::system::system_error);
    CHECK(connect().number() == 2);
    CHECK(script->attempts == 4);
    CHECK(script->opened == 2);
    CHECK(script->closed == 2);
    CHECK(script->open() == 0);
}

TEST_CASE("a scripted connection that moved is closed once")
{
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    const scripted_connector connector(script);
    {
        auto first = run_on(context, connector.connect(context.get_executor()));
        first.clean = false;
        const auto second = std::move(first);
        CHECK(second.number() == 1);
        CHECK_FALSE(second.clean);
        CHECK(script->open() == 1);
    }
    CHECK(script->closed == 1);
}

TEST_CASE("a scripted connector answers and counts probes and resets")
{
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    const scripted_connector connector(script);
    auto connection = run_on(context, connector.connect(context.get_executor()));
    CHECK(connector.probe(connection));
    script->peer_alive = false;
    CHECK_FALSE(connector.probe(connection));
    CHECK(script->probes == 2);
    CHECK_FALSE(connector.needs_reset(connection));
    script->wants_reset = true;
    CHECK(connector.needs_reset(connection));
    run_on(context, connector.reset(connection));
    script->reset_works = false;
    CHECK_THROWS_AS(run_on(context, connector.reset(connection)), boost::system::system_error);
    CHECK(script->resets == 2);
    connector.abandon(connection);
    CHECK(script->abandoned == 1);
    CHECK(connector.is_clean(connection));
    connection.clean = false;
    CHECK_FALSE(connector.is_clean(connection));
}

TEST_CASE("a mortal context is born again at its old address")
{
    mortal_context context;
    const auto* address = &*context;
    context.reborn();
    CHECK(&*context == address);
    context.die();
    context.reborn();
    CHECK(&*context == address);
}

} // namespace

} // namespace testing_kit_tests
