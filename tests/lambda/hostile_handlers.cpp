// SPDX-License-Identifier: BSL-1.0
// Handlers, hooks and options that do what they should not.

#include <loopsafe/scopes.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <lambda/raw_service.hpp>
#include <lambda/served.hpp>
#include <stdexcept>

namespace hostile_handlers_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;

asio::awaitable<std::string> echo(lambda::invocation& in)
{
    co_return std::string(in.event());
}

TEST_CASE("a task that was left behind may throw anything, and the log says so")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        const auto handler = [](lambda::invocation&) -> asio::awaitable<std::string> {
            auto throws = []() -> asio::awaitable<void> {
                throw 42;
                co_return;
            };
            loopsafe::spawn(co_await asio::this_coro::executor, throws());
            co_return "done";
        };
        served<Policy> function(service, handler);
        const auto reply = block_on(service.invoke("", {.timeout = 60s}));
        const bool ends_with_its_context = std::same_as<Policy, lambda::context_per_invocation>;
        CHECK(reply.ok() != ends_with_its_context);
        CHECK(function.stop() == 0);
        CHECK(function.log().has("background task has failed: 42") != ends_with_its_context);
    });
}

TEST_CASE("where a handler fails, and a task that it left behind, one is answered, and one logged")
{
    lambda_service service;
    const auto handler = [](lambda::invocation&) -> asio::awaitable<std::string> {
        auto throws = []() -> asio::awaitable<void> {
            throw std::runtime_error("of the task");
            co_return;
        };
        loopsafe::spawn(co_await asio::this_coro::executor, throws());
        throw std::runtime_error("of the handler");
    };
    served<lambda::context_per_invocation> function(service, handler);
    CHECK(block_on(service.invoke("")).body.find("of the handler") != std::string::npos);
    CHECK(function.stop() == 0);
    CHECK(function.log().has("background task has failed: of the task"));
}

TEST_CASE("a runtime without a log says nothing, and one whose log throws goes on")
{
    lambda_service service;
    service.fault(at::next, 1, fault::status(500));
    const auto handler = [](lambda::invocation&) -> asio::awaitable<std::string> {
        asio::post(co_await asio::this_coro::executor, [] { throw std::runtime_error("boom"); });
        co_await asio::post(asio::use_awaitable);
        co_return "done";
    };
    lambda::runtime_options options{.endpoint = service.endpoint(), .ends_on_sigterm = false};
    SUBCASE("none")
    {
        options.log = nullptr;
    }
    SUBCASE("throws")
    {
        options.log = [](std::string_view) { throw std::runtime_error("no disk"); };
    }
    lambda::runtime runtime(options);
    int code = -1;
    std::jthread thread([&] { code = runtime.serve(handler); });
    CHECK(block_on(service.invoke("", {.timeout = 60s})).body == "done");
    runtime.stop();
    thread.join();
    CHECK(code == 0);
}

TEST_CASE("times of any size are times")
{
    for_each_policy([]<class Policy>() {
        for (const auto time : {loopsafe::never, std::chrono::milliseconds::min(), -1ms, 0ms}) {
            CAPTURE(time.count());
            lambda_service service({.concurrency = at_once()});
            lambda::runtime_options options{.finish_before = time == loopsafe::never ? 0ms : time,
                                            .stop_within = std::max(time, 0ms)};
            served<Policy> function(service, echo, options);
            CHECK(block_on(service.invoke("x", {.timeout = 60s})).body == "x");
            CHECK(function.stop() == 0);
        }
        lambda_service service({.concurrency = at_once()});
        const auto waits = [](lambda::invocation& in) -> asio::awaitable<std::string> {
            co_await asio::post(asio::use_awaitable);
            co_return co_await echo(in);
        };
        served<Policy> function(service, waits, {.finish_before = loopsafe::never});
        CHECK(block_on(service.invoke("x", {.timeout = 60s, .deadline = "60000"})).error_type ==
              "Runtime.HandlerTimeout");
        CHECK(function.stop() == 0);
    });
}

struct copied_twice {
    std::shared_ptr<std::atomic<int>> copies = std::make_shared<std::atomic<int>>(0);

    copied_twice() = default;
    copied_twice(copied_twice&&) = default;
    copied_twice(const copied_twice& other) : copies(other.copies)
    {
        if (++*copies == 2)
            throw 7;
    }
    asio::awaitable<std::string> operator()(lambda::invocation& in) const { return echo(in); }
};

TEST_CASE("a handler that cannot be copied for each context ends the runtime with 1")
{
    const variable most("AWS_LAMBDA_MAX_CONCURRENCY", "8");
    lambda_service service({.concurrency = 8});
    served<lambda::concurrent> function(service, copied_twice(), {.contexts = 4});
    CHECK(function.end() == 1);
}

TEST_CASE("where one of several pollers is refused, the others end, and the runtime with 1")
{
    const variable most("AWS_LAMBDA_MAX_CONCURRENCY", "2");
    std::promise<void> called;
    const auto handler = [&](lambda::invocation&) -> asio::awaitable<std::string> {
        called.set_value();
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::use_awaitable);
        co_return "never";
    };
    raw_service service;
    service.says(next_of("1", "{}"));
    served<lambda::concurrent, raw_service> function(service, handler);
    called.get_future().wait();
    service.says("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    service.wait(3);
    service.says(accepted);
    CHECK(function.end() == 1);
    CHECK(service.requests()[2].find("invocation/1/error") != std::string::npos);
}

asio::awaitable<std::string> ignore_all(lambda::invocation&)
{
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    co_await asio::this_coro::throw_if_cancelled(false);
    for (;;)
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

TEST_CASE("handlers that ignore stop() are given up, with all that they use")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        std::atomic<int> begun = 0;
        const auto handler = [&](lambda::invocation& in) {
            ++begun;
            return ignore_all(in);
        };
        served<Policy> function(service, handler, {.contexts = 2, .stop_within = 10ms});
        std::vector<testing::lambda_invocation> all;
        const int events = at_once() == 1 ? 1 : 3;
        for (int i = 0; i < events; ++i)
            all.push_back(service.begin("", {.timeout = 60s}));
        while (begun != events)
            std::this_thread::yield();
        CHECK(function.stop() == 0);
        const bool is_answered = std::same_as<Policy, lambda::context_per_invocation>;
        CHECK(function.log().has("ignored its cancellation") != is_answered);
    });
}

TEST_CASE("tasks that ignore their cancellation do not keep a runtime that is refused")
{
    raw_service service;
    service.says(next_of("1", "{}"));
    service.says(accepted);
    service.says("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    const auto handler = [](lambda::invocation& in) -> asio::awaitable<std::string> {
        auto task = [](lambda::invocation of) -> asio::awaitable<void> { co_await ignore_all(of); };
        loopsafe::spawn(co_await asio::this_coro::executor, task(in));
        co_return "done";
    };
    served<lambda::context_kept, raw_service> function(service, handler, {.stop_within = 10ms});
    CHECK(function.end() == 1);
    CHECK(function.log().has("403"));
    CHECK(function.log().has("ignored its cancellation"));
}

} // namespace

} // namespace hostile_handlers_tests
