// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/tcp.hpp>
#include <loopsafe/testing/manual_clock.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <support/run_until.hpp>

namespace testing_kit_tests {

namespace {

using namespace support;
using loopsafe::error_code;
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

using scripted_pool = loopsafe::connection_pool<scripted_connector>;

TEST_CASE("a scripted connection answers queries, and throws what the script throws")
{
    asio::io_context context(1);
    const auto script = std::make_shared<connect_script>();
    scripted_pool pool(context, scripted_connector(script));
    const auto ask = [&](std::string text) -> asio::awaitable<std::string> {
        auto lease = co_await pool.acquire();
        co_return co_await lease->query(std::move(text));
    };
    CHECK(run_on(context, ask("anything")).empty());
    script->reply([](std::string_view said) {
        if (said == "bad")
            throw std::runtime_error("syntax error");
        return "answer to " + std::string(said);
    });
    CHECK(run_on(context, ask("one")) == "answer to one");
    CHECK_THROWS_WITH(run_on(context, ask("bad")), "syntax error");
    CHECK(pool.stats().idle == 0); // it was in mid-query
    CHECK(run_on(context, ask("two")) == "answer to two");
    CHECK(script->opened == 2);

    const auto write = [&](std::string text) -> asio::awaitable<error_code> {
        auto lease = co_await pool.acquire();
        const auto [ec, n] = co_await asio::async_write(*lease, asio::buffer(text),
                                                        asio::as_tuple(asio::use_awaitable));
        co_return ec;
    };
    CHECK(run_on(context, write("bad")) == asio::error::connection_reset);
    CHECK(pool.stats().idle == 0);
}

TEST_CASE("a scripted connection is a stream: what is written is answered, and what is unread is "
          "not clean")
{
    asio::io_context context(1);
    const auto script = std::make_shared<connect_script>();
    script->reply([](std::string_view said) { return std::string(said) + said.data()[0] + "!\n"; });
    scripted_pool pool(context, scripted_connector(script));
    const auto talk = [&](bool read_all) -> asio::awaitable<std::string> {
        auto lease = co_await pool.acquire();
        co_await asio::async_write(*lease, asio::buffer("a\n", 2), asio::use_awaitable);
        std::string got;
        co_await asio::async_read_until(*lease, asio::dynamic_buffer(got, 2), '\n',
                                        asio::use_awaitable);
        if (read_all)
            co_await asio::async_read_until(*lease, asio::dynamic_buffer(got), "!\n",
                                            asio::use_awaitable);
        co_return got;
    };
    CHECK(run_on(context, talk(true)) == "a\na!\n");
    CHECK(pool.stats().idle == 1);
    CHECK(run_on(context, talk(false)) == "a\n");
    CHECK(pool.stats().idle == 0);
}

TEST_CASE(
    "a read on a scripted connection waits for what a later write is answered, or is cancelled")
{
    asio::io_context context(1);
    const auto script = std::make_shared<connect_script>();
    script->reply([](std::string_view said) { return std::string(said); });
    scripted_pool pool(context, scripted_connector(script));
    auto lease = run_on(context, pool.acquire());
    char byte = 0;
    std::optional<error_code> ended;
    asio::cancellation_signal signal;
    const auto read = [&] {
        ended.reset();
        lease->async_read_some(asio::buffer(&byte, 1),
                               asio::bind_cancellation_slot(
                                   signal.slot(), [&](error_code ec, std::size_t) { ended = ec; }));
        run_ready(context);
    };
    read();
    CHECK(!ended);
    lease->async_write_some(asio::buffer("xy", 2), [](error_code, std::size_t) {});
    run_ready(context);
    CHECK(ended == error_code());
    CHECK(byte == 'x');
    read(); // what is there
    CHECK(ended == error_code());
    CHECK(byte == 'y');
    for (const auto kind : {asio::cancellation_type::terminal, asio::cancellation_type::total}) {
        read();
        CHECK(!ended);
        signal.emit(kind);
        run_ready(context);
        CHECK(ended == error_code(asio::error::operation_aborted));
    }
    lease->async_read_some(asio::buffer(&byte, 0), [&](error_code ec, std::size_t) { ended = ec; });
    run_ready(context);
    CHECK(ended == error_code());
}

TEST_CASE("a socket that has nothing to say seems alive")
{
    asio::io_context context(1);
    asio::local::stream_protocol::socket ours(context);
    asio::local::stream_protocol::socket peer(context);
    asio::local::connect_pair(ours, peer);
    CHECK(loopsafe::seems_alive(ours));
    asio::write(peer, asio::buffer("x", 1));
    CHECK(!loopsafe::seems_alive(ours));
    char byte = 0;
    asio::read(ours, asio::buffer(&byte, 1));
    CHECK(loopsafe::seems_alive(ours));
    peer.close();
    CHECK(!loopsafe::seems_alive(ours));
    ours.close();
    CHECK(!loopsafe::seems_alive(ours));
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
