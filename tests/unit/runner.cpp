// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/run/spawn.hpp>
#include <loopsafe/runner.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <support/run_until.hpp>
#include <support/spies.hpp>
#include <support/texts.hpp>

namespace runner_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::context_ref;
using loopsafe::errc;
using loopsafe::this_context;

asio::awaitable<void> nothing()
{
    co_return;
}

asio::awaitable<void> for_ever()
{
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

// Suspends, with nothing that could resume it.
asio::awaitable<void> stuck()
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>([](auto&&) {},
                                                                         asio::use_awaitable);
}

TEST_CASE("run gives the result of main, whatever its type")
{
    CHECK(loopsafe::run([]() -> asio::awaitable<int> { co_return 42; }) == 42);
    loopsafe::run(nothing);
    const auto only_moved = loopsafe::run(
        []() -> asio::awaitable<std::unique_ptr<int>> { co_return std::make_unique<int>(7); });
    CHECK(*only_moved == 7);
}

TEST_CASE("run rethrows what main throws")
{
    const auto fail = []() -> asio::awaitable<int> {
        throw std::runtime_error("from main");
        co_return 0;
    };
    CHECK_THROWS_WITH_AS(loopsafe::run(fail), "from main", std::runtime_error);
}

TEST_CASE("run keeps the captures of main alive as long as its coroutine")
{
    const auto text = loopsafe::run([s = std::string("a string too long for the small buffer")]()
                                        -> asio::awaitable<std::string> {
        co_await asio::post(asio::use_awaitable);
        co_return s;
    });
    CHECK(text == "a string too long for the small buffer");
}

TEST_CASE("each run has a fresh context, which is gone when run returns")
{
    const auto here = []() -> asio::awaitable<context_ref> { co_return co_await this_context(); };
    const auto line = std::source_location::current().line() + 1;
    const auto first = loopsafe::run(here);
    const auto second = loopsafe::run(here);
    CHECK(first.id() != second.id());
    CHECK_FALSE(first.alive());
    CHECK(first.info().origin == loopsafe::context_origin::run);
    CHECK(first.info().where.line() == line);
}

TEST_CASE("the context of a run keeps its origin when it is named")
{
    const auto info = loopsafe::run([]() -> asio::awaitable<loopsafe::context_info> {
        co_return loopsafe::name_context(co_await asio::this_coro::executor, "job").info();
    });
    CHECK(info.name == "job");
    CHECK(info.origin == loopsafe::context_origin::run);
}

TEST_CASE("run destroys what still lives on its context, detached coroutines included")
{
    names dead;
    loopsafe::run([&]() -> asio::awaitable<void> {
        asio::co_spawn(
            co_await asio::this_coro::executor,
            [](tattler) -> asio::awaitable<void> {
                co_await for_ever();
            }(tattler(dead, "detached")),
            asio::detached);
        co_await asio::post(asio::use_awaitable);
        CHECK(dead.empty());
    });
    CHECK(dead == names{"detached"});
}

TEST_CASE("run inside run is refused, since it would block the outer context")
{
    loopsafe::run([]() -> asio::awaitable<void> {
        const auto error = thrown_by<system_error>([] { loopsafe::run(nothing); });
        CHECK(error.code() == errc::nested_run);
        CHECK(text_of(error) ==
              std::string("co_await the inner function instead of running it: "
                          "run() inside run() would block the outer context [loopsafe:10]"));
        loopsafe::runner another;
        CHECK_THROWS_AS(another.run(nothing), system_error);
        CHECK_THROWS_AS(another.close(), system_error);
        co_return;
    });
    loopsafe::run(nothing);
}

TEST_CASE("a main that nothing can wake is reported, not waited for")
{
    const auto error = thrown_by<system_error>([] { loopsafe::run(stuck); });
    CHECK(error.code() == errc::main_stuck);
    CHECK(text_of(error) ==
          std::string("main awaits something that nothing will complete: main was given up "
                      "before it completed [loopsafe:11]"));
}

TEST_CASE("a main whose operation is destroyed is reported at once, whatever else its context does")
{
    int turns = 0;
    const auto busy = [&]() -> asio::awaitable<void> {
        for (; turns != 100; ++turns)
            co_await asio::post(asio::use_awaitable);
    };
    const auto main = [&]() -> asio::awaitable<void> {
        loopsafe::spawn(co_await asio::this_coro::executor, busy());
        co_await stuck();
    };
    loopsafe::runner r;
    const auto error = thrown_by<system_error>([&] { r.run(main); });
    CHECK(error.code() == errc::main_stuck);
    CHECK(turns < 100);
}

TEST_CASE("a main that nobody will wake is reported when it has been quiet for as long as allowed")
{
    bool cancelled = false;
    const auto waits = [&]() -> asio::awaitable<void> {
        for (int i = 0; i != 3; ++i) // what happens counts from anew
            co_await asio::post(asio::use_awaitable);
        using channel = asio::experimental::channel<void(loopsafe::error_code)>;
        channel nobody_sends(co_await asio::this_coro::executor);
        try {
            co_await nobody_sends.async_receive(asio::use_awaitable);
        } catch (const system_error&) {
            cancelled = true;
        }
    };
    const auto error = thrown_by<system_error>([&] { loopsafe::run(waits, {.quiet_limit = 2ms}); });
    CHECK(error.code() == errc::main_stuck);
    CHECK(text_of(error).starts_with("main awaits something, and nothing has happened for 2 ms "
                                     "(run_options::quiet_limit): "));
    CHECK(cancelled);

    loopsafe::runner r({.quiet_limit = 2ms});
    CHECK(thrown_by<system_error>([&] { r.run(waits); }).code() == errc::main_stuck);
    CHECK(r.run([]() -> asio::awaitable<int> { co_return 1; }) == 1);
    CHECK(thrown_by<system_error>([&] { r.run(stuck); }).code() == errc::main_stuck);
}

TEST_CASE("a quiet limit may be as long as its type allows, and must be more than nothing")
{
    const auto one = []() -> asio::awaitable<int> { co_return 1; };
    for (const auto limit : {1h, std::chrono::hours(24 * 366), std::chrono::hours(2'000'000'000)})
        CHECK(loopsafe::run(one, {.quiet_limit = limit}) == 1);
    CHECK(loopsafe::run(one, {.quiet_limit = loopsafe::never}) == 1);
    for (const auto limit : {0ms, -1ms}) {
        const auto refused =
            thrown_by<system_error>([&] { loopsafe::run(one, {.quiet_limit = limit}); });
        CHECK(refused.code() == errc::bad_option);
    }
}

TEST_CASE("a runner keeps one context for many calls")
{
    const auto line = std::source_location::current().line() + 1;
    loopsafe::runner r;
    const auto here = []() -> asio::awaitable<context_ref> { co_return co_await this_context(); };
    const auto first = r.run(here);
    CHECK(r.run(here) == first);
    CHECK(first.alive());
    CHECK(loopsafe::context_of(r.get_executor()) == first);
    CHECK(first.info().origin == loopsafe::context_origin::runner);
    CHECK(first.info().where.line() == line);
}

TEST_CASE("a runner goes on after a main that threw or was stuck")
{
    loopsafe::runner r;
    const auto fail = []() -> asio::awaitable<void> {
        throw std::runtime_error("from main");
        co_return;
    };
    CHECK_THROWS_WITH_AS(r.run(fail), "from main", std::runtime_error);
    CHECK(thrown_by<system_error>([&] { r.run(stuck); }).code() == errc::main_stuck);
    CHECK(r.run([]() -> asio::awaitable<int> { co_return 1; }) == 1);
}

TEST_CASE("a runner stops at the end of main, and goes on with other work in the next call")
{
    loopsafe::runner r;
    int done = 0;
    r.run([&]() -> asio::awaitable<void> {
        asio::post(r.get_executor(), [&] { ++done; });
        co_return;
    });
    CHECK(done == 0);
    r.run([&]() -> asio::awaitable<void> {
        co_await asio::post(asio::use_awaitable);
        co_return;
    });
    CHECK(done == 1);
}

TEST_CASE("a runner may be destroyed by its own main")
{
    std::optional<loopsafe::runner> r(std::in_place);
    const auto ref = loopsafe::context_of(r->get_executor());
    const int result = r->run([&]() -> asio::awaitable<int> {
        r.reset();
        co_await asio::post(asio::use_awaitable);
        CHECK(ref.alive());
        co_return 5;
    });
    CHECK(result == 5);
    CHECK_FALSE(ref.alive());
}

// How a run() ends early: another handler throws, or stops the context.
void end_early(const loopsafe::runner& r, bool stops)
{
    asio::post(r.get_executor(), [executor = r.get_executor(), stops] {
        if (!stops)
            throw std::runtime_error("from a handler");
        static_cast<asio::io_context&>(asio::query(executor, asio::execution::context)).stop();
    });
}

template <class Main>
void check_ends_early(loopsafe::runner& r, bool stops, Main main)
{
    if (stops)
        CHECK(thrown_by<system_error>([&] { r.run(main); }).code() == errc::main_stuck);
    else
        CHECK_THROWS_WITH_AS(r.run(main), "from a handler", std::runtime_error);
}

TEST_CASE("a run that ends early cancels main and waits for it, since main refers to its caller")
{
    for (const bool stops : {false, true}) {
        names log;
        loopsafe::runner r;
        {
            int steps = 0;
            check_ends_early(r, stops, [&]() -> asio::awaitable<void> {
                const tattler local(log, "main is gone");
                end_early(r, stops);
                try {
                    co_await for_ever();
                } catch (const system_error& e) {
                    CHECK(e.code() == asio::error::operation_aborted);
                    log.push_back("cancelled");
                }
                co_await asio::this_coro::reset_cancellation_state();
                while (++steps != 3)
                    co_await asio::post(asio::use_awaitable);
                log.push_back("tidied up");
            });
        }
        CHECK(log == names{"cancelled", "tidied up", "main is gone"});
        CHECK(r.run([]() -> asio::awaitable<int> { co_return 1; }) == 1);
        CHECK(log.size() == 3);
    }
}

TEST_CASE("a run that ends before main began does not begin it later")
{
    for (const bool stops : {false, true}) {
        loopsafe::runner r;
        bool began = false;
        end_early(r, stops);
        check_ends_early(r, stops, [&]() -> asio::awaitable<void> {
            began = true;
            co_return;
        });
        r.run(nothing);
        CHECK_FALSE(began);
    }
}

TEST_CASE("while main is ended early, further handlers that throw or stop change nothing")
{
    names log;
    loopsafe::runner r;
    check_ends_early(r, false, [&]() -> asio::awaitable<void> {
        for (const bool stops : {false, true, false})
            end_early(r, stops);
        try {
            co_await for_ever();
        } catch (const system_error&) {
            log.push_back("cancelled");
        }
        co_await asio::this_coro::reset_cancellation_state();
        for (int i = 0; i < 3; ++i)
            co_await asio::post(asio::use_awaitable);
        log.push_back("tidied up");
        throw std::runtime_error("from main, too late");
    });
    CHECK(log == names{"cancelled", "tidied up"});
}

TEST_CASE("a main that does not heed its cancellation is waited for")
{
    names log;
    loopsafe::runner r;
    keeper k;
    check_ends_early(r, false, [&]() -> asio::awaitable<void> {
        const tattler local(log, "main is gone");
        end_early(r, false);
        asio::post(r.get_executor(), [&] {
            asio::post(r.get_executor(), [&] {
                CHECK(log.empty());
                k.let_go();
            });
        });
        co_await k.wait();
    });
    CHECK(log == names{"main is gone"});
}

} // namespace

} // namespace runner_tests
