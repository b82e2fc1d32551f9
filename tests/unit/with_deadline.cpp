// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/runner.hpp>
#include <loopsafe/scopes.hpp>
#include <loopsafe/testing/manual_clock.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <support/run_until.hpp>
#include <support/running_coroutine.hpp>
#include <utility>
#include <vector>

namespace with_deadline_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::errc;
using loopsafe::testing::manual_clock;

template <class T>
asio::awaitable<T> limited(std::chrono::nanoseconds limit, asio::awaitable<T> operation)
{
    return loopsafe::with_deadline<manual_clock>(limit, std::move(operation));
}

asio::awaitable<int> wait_for_ever(bool* begun = nullptr)
{
    if (begun != nullptr)
        *begun = true;
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
    co_return 0;
}

asio::awaitable<int> give(int value)
{
    co_await asio::post(asio::use_awaitable);
    co_return value;
}

struct on_a_context {
    on_a_context() { manual_clock::reset(); }

    void advance(std::chrono::nanoseconds by)
    {
        manual_clock::advance(context, by);
        run_ready(context);
    }

    asio::io_context context{1};
};

TEST_CASE("with_deadline: in time, what the operation gives")
{
    loopsafe::run([]() -> asio::awaitable<void> {
        CHECK(co_await loopsafe::with_deadline(1h, give(7)) == 7);
        CHECK(co_await loopsafe::with_deadline(loopsafe::never, give(8)) == 8);
        const auto late = std::chrono::steady_clock::now() + 1h;
        CHECK(co_await loopsafe::with_deadline(late, give(9)) == 9);
        const auto owned = []() -> asio::awaitable<std::unique_ptr<int>> {
            co_return std::make_unique<int>(5);
        };
        CHECK(*co_await loopsafe::with_deadline(1h, owned()) == 5);
        struct no_default {
            explicit no_default(int v) : value(v) {}
            int value;
        };
        const auto made = []() -> asio::awaitable<no_default> { co_return no_default(6); };
        CHECK((co_await loopsafe::with_deadline(1h, made())).value == 6);
        const auto fails = []() -> asio::awaitable<void> {
            throw std::runtime_error("its own");
            co_return;
        };
        std::string text;
        try {
            co_await loopsafe::with_deadline(1h, fails());
        } catch (const std::runtime_error& e) {
            text = e.what();
        }
        CHECK(text == "its own");
    });
}

TEST_CASE("with_deadline: what is late before it begins does not begin")
{
    on_a_context on;
    bool begun = false;
    const auto now = manual_clock::now();
    running_coroutine zero(on.context, limited(0s, wait_for_ever(&begun)));
    running_coroutine negative(on.context, limited(-1s, wait_for_ever(&begun)));
    running_coroutine past(on.context,
                           loopsafe::with_deadline<manual_clock>(now - 1s, wait_for_ever(&begun)));
    const loopsafe::basic_deadline<manual_clock> soon(1s);
    manual_clock::move(0s, 0s, 2s);
    running_coroutine frozen(on.context,
                             loopsafe::with_deadline<manual_clock>(soon, wait_for_ever(&begun)));
    run_ready(on.context);
    for (const auto* each : {&zero, &negative, &past, &frozen})
        CHECK(each->text == "timed out");
    CHECK_FALSE(begun);
    CHECK(on.context.stopped());
}

TEST_CASE("with_deadline: at the ends of its range a limit is what it says")
{
    using deadline = loopsafe::basic_deadline<manual_clock>;
    using std::chrono::hours, std::chrono::milliseconds, std::chrono::nanoseconds;
    on_a_context on;
    const auto first = manual_clock::time_point::min(), last = manual_clock::time_point::max();
    for (const auto past : {deadline(hours::min() + 1h), deadline(milliseconds::min() + 1ms),
                            deadline(nanoseconds::min()), deadline(-1e300s), deadline(first)}) {
        CHECK_FALSE(past.is_never());
        CHECK(past.left() == 0ns);
        running_coroutine one(on.context,
                              loopsafe::with_deadline<manual_clock>(past, wait_for_ever()));
        run_ready(on.context);
        CHECK(one.text == "timed out");
    }
    for (const auto far : {deadline(nanoseconds::max() - 1s), deadline(last - 1ns)}) {
        CHECK_FALSE(far.is_never());
        running_coroutine one(on.context,
                              loopsafe::with_deadline<manual_clock>(far, wait_for_ever()));
        on.advance(24h * 365);
        loopsafe::thaw<manual_clock>(on.context.get_executor());
        run_ready(on.context);
        CHECK(one.text.empty());
        one.cancel.emit(asio::cancellation_type::terminal);
        run_ready(on.context);
    }
    for (const auto never : {deadline(hours::max()), deadline(loopsafe::never), deadline(1e300s),
                             deadline(nanoseconds::max()), deadline(last), deadline()})
        CHECK(never.is_never());
}

TEST_CASE("with_deadline: timed_out when the time has passed, never operation_aborted")
{
    on_a_context on;
    running_coroutine one(on.context, limited(2s, wait_for_ever()));
    run_ready(on.context);
    on.advance(1999ms);
    CHECK(one.text.empty());
    on.advance(1ms);
    CHECK(one.text == "timed out");
    CHECK(on.context.stopped());
}

TEST_CASE("with_deadline: what comes late all the same is what it gives")
{
    on_a_context on;
    const auto stubborn = [](int value) -> asio::awaitable<int> {
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (value == 0)
            throw std::runtime_error("another error");
        co_return value;
    };
    running_coroutine value(on.context, limited(1s, stubborn(7)));
    running_coroutine error(on.context, limited(1s, stubborn(0)));
    run_ready(on.context);
    on.advance(1s);
    CHECK(value.text == "7");
    CHECK(error.text == "another error");
}

TEST_CASE("with_deadline: the caller's cancellation, before and after the deadline")
{
    on_a_context on;
    running_coroutine before(on.context, limited(1s, wait_for_ever()));
    running_coroutine after(on.context, limited(1s, wait_for_ever()));
    run_ready(on.context);
    before.cancel.emit(asio::cancellation_type::terminal);
    run_ready(on.context);
    CHECK(before.text == "aborted");
    manual_clock::advance(on.context, 1s);
    on.context.restart();
    while (after.text.empty() && on.context.run_one() != 0)
        after.cancel.emit(asio::cancellation_type::none);
    after.cancel.emit(asio::cancellation_type::terminal);
    run_ready(on.context);
    CHECK(after.text == "timed out");
    CHECK(before.text == "aborted");

    const auto twice = [&]() -> asio::awaitable<int> {
        asio::steady_timer timer(on.context, asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        on.advance(1s); // the deadline passes after the caller was cancelled
        co_await asio::post(asio::use_awaitable);
        co_return 0;
    };
    running_coroutine cancelled(on.context, limited(1s, twice()));
    run_ready(on.context);
    cancelled.cancel.emit(asio::cancellation_type::terminal);
    run_ready(on.context);
    CHECK(cancelled.text == "aborted");
}

TEST_CASE("with_deadline: deadlines in deadlines, and the earliest is the one that counts")
{
    for (const auto inner : {1s, 3s}) {
        on_a_context on;
        std::string text;
        const auto middle = [&]() -> asio::awaitable<int> {
            try {
                co_return co_await limited(inner, wait_for_ever());
            } catch (const system_error& e) {
                text = e.code() == errc::timed_out ? "inner timed out" : "inner aborted";
                throw;
            }
        };
        running_coroutine outer(on.context, limited(2s, middle()));
        run_ready(on.context);
        on.advance(1s);
        CHECK(outer.text.empty() == (inner == 3s));
        on.advance(1s);
        CHECK(outer.text == "timed out");
        CHECK(text == (inner == 1s ? "inner timed out" : "inner aborted"));
    }
}

TEST_CASE("with_deadline: many of them, in any order, some of which end before")
{
    std::mt19937 random(7);
    for (int round = 0; round != 20; ++round) {
        on_a_context on;
        std::vector<int> limits;
        std::vector<std::unique_ptr<running_coroutine>> all;
        for (int i = 0; i != 60; ++i) {
            limits.push_back(1 + static_cast<int>(random() % 40));
            all.push_back(std::make_unique<running_coroutine>(
                on.context, limited(std::chrono::seconds(limits.back()), wait_for_ever())));
        }
        run_ready(on.context);
        std::vector<std::string> expected(all.size());
        for (int now = 1; now <= 40; ++now) {
            const auto ends = random() % all.size();
            if (expected[ends].empty()) {
                expected[ends] = "aborted";
                all[ends]->cancel.emit(asio::cancellation_type::terminal);
                run_ready(on.context);
            }
            on.advance(1s);
            for (std::size_t i = 0; i != all.size(); ++i) {
                if (expected[i].empty() && limits[i] <= now)
                    expected[i] = "timed out";
                REQUIRE(all[i]->text == expected[i]);
            }
        }
        CHECK(on.context.stopped());
    }
}

TEST_CASE("with_deadline: a freeze counts, whichever clock tells of it (row 8)")
{
    using seconds = std::chrono::seconds;
    const std::pair<seconds, seconds> boot_and_wall[] = {{10s, 0s}, {0s, 10s}, {10s, 10s}};
    for (const auto& [boot, wall] : boot_and_wall) {
        on_a_context on;
        running_coroutine late(on.context, limited(10s, wait_for_ever()));
        running_coroutine in_time(on.context, limited(30s, wait_for_ever()));
        running_coroutine soon(on.context, limited(9s, wait_for_ever()));
        run_ready(on.context);
        manual_clock::move(0s, boot, wall);
        run_ready(on.context);
        CHECK(late.text.empty());
        std::optional<running_coroutine> next;
        SUBCASE("thaw")
        {
            loopsafe::thaw<manual_clock>(on.context.get_executor());
        }
        SUBCASE("the next deadline")
        {
            next.emplace(on.context, limited(1h, give(1)));
        }
        SUBCASE("the timer")
        {
            manual_clock::advance(on.context, 9s);
        }
        run_until(on.context, [&] { return !late.text.empty(); });
        CHECK(late.text == "timed out");
        CHECK(soon.text == "timed out");
        CHECK(in_time.text.empty());
        on.advance(20s);
        CHECK(in_time.text == "timed out");
    }
}

TEST_CASE("with_deadline: clocks that are adjusted a little are no freeze")
{
    on_a_context on;
    running_coroutine one(on.context, limited(10s, wait_for_ever()));
    run_ready(on.context);
    manual_clock::move(0s, 0s, 90ms);
    on.advance(9950ms);
    loopsafe::thaw<manual_clock>(on.context.get_executor());
    run_ready(on.context);
    CHECK(one.text.empty());
    manual_clock::move(0s, 0s, -3600s);
    on.advance(50ms);
    CHECK(one.text == "timed out");
}

TEST_CASE("with_deadline: what is over holds no context at work (row 23)")
{
    asio::io_context context(1);
    const auto several = []() -> asio::awaitable<int> {
        int sum = 0;
        for (int i = 0; i != 10; ++i)
            sum += co_await loopsafe::with_deadline(1h, give(i));
        co_return sum;
    };
    running_coroutine all(context, several());
    context.run_for(10s); // it takes none of it
    CHECK(all.text == "45");
    CHECK(context.stopped());
}

TEST_CASE("with_deadline: no context is an error")
{
    std::optional<loopsafe::error_code> ec;
    try {
        loopsafe::thaw(asio::system_executor());
    } catch (const loopsafe::context_error& e) {
        ec = e.code();
    }
    CHECK(ec == errc::no_context);
}

} // namespace

} // namespace with_deadline_tests
