// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/scopes.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <support/spies.hpp>
#include <thread>
#include <vector>

namespace deadlines_tests {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using loopsafe::errc;
using loopsafe::with_deadline;
using support::frame_local;
using support::looker;

struct resource {
    asio::awaitable<void> async_close() { co_await asio::post(asio::use_awaitable); }
    void close() {}
};

// Deadlines in deadlines, one of which passes, beside a resource and a scope.
asio::awaitable<int> tree(int depth, int& alive)
{
    const frame_local mine(alive);
    const looker at_the_end{mine};
    if (depth == 0) {
        co_await asio::post(asio::use_awaitable);
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::min());
        co_await timer.async_wait(asio::use_awaitable);
        co_return mine.value;
    }
    if (depth % 2 == 0) {
        resource own;
        const auto body = [&](resource&) -> asio::awaitable<int> {
            const looker at_its_end{mine};
            co_return co_await with_deadline(1h, tree(depth - 1, alive));
        };
        co_return co_await loopsafe::with(own, body);
    }
    const auto [a, b] =
        co_await loopsafe::all(with_deadline(1h, tree(depth - 1, alive)), tree(depth - 1, alive));
    co_return a + b;
}

template <class MakeExecutor>
void kill_after_each_handler(MakeExecutor make_executor)
{
    for (int steps = 0; steps < 300; ++steps) {
        int alive = 0;
        bool ended = false;
        {
            asio::io_context context(1);
            asio::co_spawn(make_executor(context), tree(4, alive),
                           [&](const std::exception_ptr& e, int) { ended = e == nullptr; });
            for (int i = 0; i != steps && context.poll_one() != 0; ++i) {}
        }
        CHECK(alive == 0);
        if (ended)
            return;
    }
    FAIL("it does not end");
}

TEST_CASE("with_deadline: whenever the context dies, operations die before what they refer to")
{
    kill_after_each_handler([](asio::io_context& c) { return c.get_executor(); });
    kill_after_each_handler([](asio::io_context& c) { return asio::make_strand(c); });
}

TEST_CASE("with_deadline: cancelled at every point it ends, and nothing is left")
{
    bool was_over = false;
    for (int steps = 0; !was_over; ++steps) {
        REQUIRE(steps < 300);
        int alive = 0;
        bool ended = false;
        asio::io_context context(1);
        asio::cancellation_signal signal;
        asio::co_spawn(context, tree(4, alive),
                       asio::bind_cancellation_slot(
                           signal.slot(), [&](const std::exception_ptr&, int) { ended = true; }));
        for (int i = 0; i != steps && context.poll_one() != 0; ++i) {}
        was_over = ended;
        signal.emit(asio::cancellation_type::terminal);
        context.restart();
        context.run();
        CHECK(ended);
        CHECK(alive == 0);
    }
}

TEST_CASE("with_deadline: strands of a context that several threads run share its timer")
{
    constexpr int callers = 200;
    asio::io_context context(4);
    std::atomic<int> values{0}, late{0}, other{0};
    const auto one = [&](int number) -> asio::awaitable<void> {
        const auto operation = [number]() -> asio::awaitable<int> {
            asio::steady_timer timer(co_await asio::this_coro::executor);
            timer.expires_after(std::chrono::microseconds(number % 7 * 300));
            co_await timer.async_wait(asio::use_awaitable);
            co_return number;
        };
        for (int i = 0; i != 10; ++i) {
            try {
                const int got = co_await with_deadline(1ms, operation());
                ++(got == number ? values : other);
            } catch (const boost::system::system_error& e) {
                ++(e.code() == errc::timed_out ? late : other);
            }
        }
    };
    for (int i = 0; i != callers; ++i)
        asio::co_spawn(asio::make_strand(context), one(i), [&](const std::exception_ptr& e) {
            if (e != nullptr)
                ++other;
        });
    std::vector<std::jthread> threads;
    for (int i = 0; i != 4; ++i)
        threads.emplace_back([&] { context.run(); });
    threads.clear();
    CHECK(values + late == callers * 10);
    CHECK(other == 0);
}

template <class Context>
void check_beside_a_busy_strand()
{
    Context context(2);
    const auto busy = asio::make_strand(context.get_executor());
    const auto other = asio::make_strand(context.get_executor());
    std::promise<void> met, passed;
    std::future<void> has_passed = passed.get_future();
    bool in_time = false;
    const auto first = [&]() -> asio::awaitable<void> {
        co_await with_deadline(1h, asio::post(asio::use_awaitable));
        met.set_value();
        in_time = has_passed.wait_for(20s) == std::future_status::ready;
    };
    const auto second = [&]() -> asio::awaitable<void> {
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::use_awaitable);
    };
    asio::co_spawn(busy, first(), asio::detached);
    std::vector<std::jthread> threads;
    if constexpr (requires { context.run(); }) {
        for (int i = 0; i != 2; ++i)
            threads.emplace_back([&] { context.run(); });
    }
    met.get_future().wait();
    asio::co_spawn(other, with_deadline(1ms, second()),
                   [&](const std::exception_ptr&) { passed.set_value(); });
    if constexpr (requires { context.run(); })
        threads.clear();
    else
        context.join();
    CHECK(in_time);
}

TEST_CASE("with_deadline: a busy strand, the first to ask, delays no deadline of another")
{
    check_beside_a_busy_strand<asio::io_context>();
    check_beside_a_busy_strand<asio::thread_pool>();
}

} // namespace

} // namespace deadlines_tests
