// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lifespan.hpp>
#include <loopsafe/scopes.hpp>

#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <support/ends_others.hpp>
#include <support/heap.hpp>
#include <support/texts.hpp>
#include <vector>

namespace allocation_failure_tests {

namespace {

namespace asio = boost::asio;
using loopsafe::task_scope;

// Counts what has begun and not ended.
struct counted {
    explicit counted(int& n) : alive(n) { ++alive; }
    counted(const counted&) = delete;
    ~counted() { --alive; }
    int& alive;
};

asio::awaitable<int> work(int& alive, int turns)
{
    const counted here(alive);
    for (int i = 0; i != turns; ++i)
        co_await asio::post(asio::deferred);
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::min());
    co_await timer.async_wait(asio::deferred);
    co_return turns;
}

asio::awaitable<int> in_scopes(int& alive)
{
    const counted here(alive);
    const auto [a, b] = co_await loopsafe::all(work(alive, 1), work(alive, 2));
    const auto first = co_await loopsafe::race(work(alive, 2), work(alive, 0));
    const auto any = co_await loopsafe::first_success(work(alive, 1), work(alive, 3));
    int sum = 0;
    const auto body = [&](task_scope& tasks) -> asio::awaitable<int> {
        const counted inside(alive);
        for (int i = 0; i != 4; ++i) {
            const auto one = [&, i]() -> asio::awaitable<void> { sum += co_await work(alive, i); };
            co_await tasks.start_when_free(one);
        }
        co_return 10;
    };
    const int given = co_await loopsafe::with_tasks(body, {.max_running = 2});
    CHECK(first.index() == 1);
    CHECK(sum == 6);
    // An operation that fails for want of memory is not the one that succeeds.
    co_return given + a + b + std::visit([](int turns) { return turns == 3 ? 1 : turns; }, any);
}

struct resource {
    asio::awaitable<void> async_close() { co_await asio::post(asio::deferred); }
    void close() { is_closed = true; }
    bool is_closed = false;
};

// What has a time, and what goes to another context and back.
asio::awaitable<int> in_time(int& alive, asio::any_io_executor other)
{
    const counted here(alive);
    resource own;
    const auto body = [&](resource&) { return work(alive, 2); };
    int sum = co_await loopsafe::with(own, body);
    sum += co_await loopsafe::with_deadline(std::chrono::hours(1), work(alive, 3));
    const auto there = [&alive] { return work(alive, 4); };
    sum += co_await loopsafe::hop_to(other, there);
    sum += co_await loopsafe::hop_to(other, [] { return 5; });
    co_return sum;
}

bool is_want_of_memory(const std::exception_ptr& error)
{
    try {
        std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
        return true;
    } catch (...) {
        return false;
    }
}

TEST_CASE("scopes: an allocation that fails loses no task, and none is left alone")
{
    bool failed = true;
    int out_of_memory = 0;
    for (long which = 0; failed; ++which) {
        CAPTURE(which);
        int alive = 0;
        const auto before = heap::alive;
        std::string text;
        {
            asio::io_context context(1);
            int value = 0;
            std::exception_ptr error;
            bool ended = false;
            {
                const heap::watch on(which);
                try {
                    asio::co_spawn(context, in_scopes(alive),
                                   [&](const std::exception_ptr& e, int v) {
                                       error = e;
                                       value = v;
                                       ended = true;
                                   });
                    context.run();
                } catch (const std::bad_alloc&) { // of co_spawn or of Asio, not of a scope
                    ended = true;
                    error = std::make_exception_ptr(std::bad_alloc());
                }
                failed = heap::allocations > which;
            }
            CHECK(ended);
            if (error == nullptr) {
                CHECK(value == 14);
            } else {
                ++out_of_memory;
                CHECK(is_want_of_memory(error));
            }
        }
        CHECK(alive == 0);
        CHECK(heap::alive <=
              before + 1); // Asio keeps frames for the next, and the exception is the last
        REQUIRE(which < 1'000);
    }
    CHECK(out_of_memory > 20);
}

TEST_CASE("scopes: tasks that end while they are cancelled for want of memory are awaited once")
{
    bool failed = true;
    int out_of_memory = 0;
    for (long which = 0; failed; ++which) {
        CAPTURE(which);
        asio::io_context context(1);
        asio::cancellation_signal signal;
        support::ends_others all(3);
        int ended = 0;
        std::exception_ptr error;
        {
            const heap::watch on(which);
            try {
                asio::co_spawn(context, loopsafe::all(all.wait(0), all.wait(1), all.wait(2)),
                               asio::bind_cancellation_slot(
                                   signal.slot(), [&](const std::exception_ptr& e, const auto&) {
                                       error = e;
                                       ++ended;
                                   }));
                context.poll();
            } catch (const std::bad_alloc&) { // of Asio
                ++ended;
            }
            failed = heap::allocations > which;
        }
        if (ended == 0) {
            signal.emit(asio::cancellation_type::terminal);
            context.restart();
            context.poll();
        } else {
            ++out_of_memory;
        }
        CHECK(ended == 1);
        REQUIRE(which < 1'000);
    }
    CHECK(out_of_memory > 5);
}

TEST_CASE("with, with_deadline, hop_to: an allocation that fails is an error, and nothing is left")
{
    bool failed = true;
    int out_of_memory = 0;
    for (long which = 0; failed; ++which) {
        CAPTURE(which);
        int alive = 0;
        bool ended = false;
        int value = 0;
        int thrown = 0;
        std::exception_ptr error;
        {
            asio::io_context context(1);
            asio::io_context other(1);
            const heap::watch on(which);
            const auto attempt = [&](auto step) {
                try {
                    step();
                } catch (const std::bad_alloc&) { // of Asio: its coroutine is destroyed
                    ++thrown;
                }
            };
            attempt([&] {
                asio::co_spawn(context, in_time(alive, other.get_executor()),
                               [&](const std::exception_ptr& e, int v) {
                                   error = e;
                                   value = v;
                                   ended = true;
                               });
            });
            for (int i = 0; i != 40 && !ended; ++i) {
                for (auto* each : {&context, &other}) {
                    each->restart();
                    attempt([&] { each->poll(); });
                }
            }
            failed = heap::allocations > which;
        }
        CHECK((ended || thrown == 1));
        if (ended && error == nullptr)
            CHECK(value == 14);
        out_of_memory += error != nullptr ? 1 : 0;
        if (error != nullptr)
            CHECK((is_want_of_memory(error) || // or that coroutine was the one at the other end
                   (thrown == 1 && support::code_of(error) == loopsafe::errc::task_lost)));
        CHECK(alive == 0);
        REQUIRE(which < 1'000);
    }
    CHECK(out_of_memory > 10);
}

TEST_CASE("lifespan: an allocation that fails is an error, and what has started is stopped")
{
    bool failed = true;
    int out_of_memory = 0;
    for (long which = 0; failed; ++which) {
        CAPTURE(which);
        int alive = 0;
        int started[3] = {};
        loopsafe::lifespan app;
        for (int& each : started) {
            app.add(
                "one",
                [&]() -> asio::awaitable<void> {
                    co_await work(alive, 1);
                    ++each;
                },
                [&]() -> asio::awaitable<void> {
                    --each;
                    co_await work(alive, 1);
                });
        }
        enum { starting, stopping, over } at = starting;
        std::exception_ptr error;
        bool ended = false;
        bool hears = false;
        int thrown = 0;
        {
            asio::io_context context(1);
            const auto main = [&]() -> asio::awaitable<void> {
                try {
                    co_await app.start();
                    at = stopping;
                    co_await app.stop(std::chrono::hours(1));
                    at = over;
                } catch (...) {
                    error = std::current_exception();
                }
                hears = co_await asio::this_coro::throw_if_cancelled();
            };
            const heap::watch on(which);
            const auto attempt = [&](auto step) {
                try {
                    step();
                } catch (const std::bad_alloc&) { // of Asio: its coroutine is destroyed
                    ++thrown;
                }
            };
            attempt([&] {
                asio::co_spawn(context, main(), [&](const std::exception_ptr&) { ended = true; });
            });
            attempt([&] { context.run(); });
            failed = heap::allocations > which;
        }
        CHECK((ended || thrown == 1));
        if (ended) {
            CHECK(hears);
            CHECK((error != nullptr) == (at != over));
        }
        if (error != nullptr) {
            ++out_of_memory;
            CHECK(is_want_of_memory(error));
            if (at == starting)
                CHECK(started[0] + started[1] + started[2] == 0);
        }
        CHECK(alive == 0);
        REQUIRE(which < 1'000);
    }
    CHECK(out_of_memory > 10);
}

} // namespace

} // namespace allocation_failure_tests
