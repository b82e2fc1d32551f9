// SPDX-License-Identifier: BSL-1.0
// stop() at moments that are hard to hit.

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <lambda/raw_service.hpp>
#include <lambda/served.hpp>
#include <string>
#include <utility>

namespace stop_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;

TEST_CASE("an event that comes in the same turn of the loop as stop() is answered")
{
    raw_service service;
    std::promise<void> is_there;
    std::promise<void> waits;
    std::atomic<bool> called = false;
    const auto handler = [&](lambda::invocation&) -> asio::awaitable<std::string> {
        called = true;
        co_return "done";
    };
    served<lambda::context_kept, raw_service> function(service, handler);
    service.wait(1); // /next is pending
    const auto executor = function.runtime().get_executor();
    // It needs two reads: the first when the loop has found it, the second at once, so that its end
    // is queued behind stop().
    const auto stop = [&] { function.runtime().stop(); };
    const auto stop_behind_it = [&] { asio::post(executor, stop); };
    asio::post(executor, [&] {
        waits.set_value();
        is_there.get_future().wait();
        asio::post(executor, stop_behind_it);
    });
    waits.get_future().wait(); // the loop finds the event when this has ended
    service.says(next_of("1", std::string(20'000, 'e')));
    service.says(accepted);
    service.wait_said(1);
    is_there.set_value();
    CHECK(function.end() == 0);
    const auto asked = service.requests();
    REQUIRE(asked.size() == 2);
    CHECK(asked[1].find("invocation/1/error") != std::string::npos);
    CHECK(!called);
}

template <class Policy>
void stop_a_start()
{
    lambda_service service({.concurrency = at_once()});
    std::promise<void> begun;
    std::atomic<bool> first = true;
    loopsafe::lifespan app;
    app.add("database", [&]() -> asio::awaitable<void> {
        if (first.exchange(false))
            begun.set_value();
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::use_awaitable);
    });
    const auto handler = [](lambda::invocation&) -> asio::awaitable<std::string> {
        co_return "done";
    };
    served<Policy> function(service, handler, {.contexts = 2, .lifespan = &app});
    begun.get_future().wait();
    CHECK(function.stop() == 0);
    CHECK(service.requests(at::init_error) == 0);
    CHECK(function.log().all().empty());
}

TEST_CASE("a start that is under way when stop() comes has not failed")
{
    stop_a_start<lambda::context_kept>();
    const variable most("AWS_LAMBDA_MAX_CONCURRENCY", "4");
    stop_a_start<lambda::concurrent>();
}

TEST_CASE("what answers an event that was taken begins, though its loop was cancelled before")
{
    const lambda::log_function log = lambda::log_to_stderr;
    lambda::detail::context_loop loop(log, "lambda");
    bool begun = false;
    bool cancelled = false;
    const auto answer = [&]() -> asio::awaitable<void> {
        co_await asio::this_coro::throw_if_cancelled(false);
        begun = true;
        co_await asio::post(asio::use_awaitable);
        co_await asio::post(asio::use_awaitable);
        const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
        cancelled = state.cancelled() != asio::cancellation_type::none;
    };
    for (int i = 0; i < 2; ++i) {
        begun = cancelled = false;
        loop.cancel(std::chrono::steady_clock::now() + 1h);
        CHECK(loop.run(answer) == nullptr);
        CHECK(begun);
        CHECK(cancelled);
    }
}

} // namespace

} // namespace stop_tests
