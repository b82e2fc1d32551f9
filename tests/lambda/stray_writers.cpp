// SPDX-License-Identifier: BSL-1.0
// Responses that several coroutines write, and that outlive their handlers.

#include <loopsafe/scopes.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <lambda/raw_service.hpp>
#include <lambda/served.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace stray_writers_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;

TEST_CASE("a handler that ends while another coroutine writes is cut off, and the next is served")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        const auto large = std::make_shared<std::string>(64'000'000, 'x');
        const auto handler = [=](lambda::invocation& in,
                                 lambda::response_writer& out) -> asio::awaitable<void> {
            co_await out.write("begun");
            if (in.event() != "leave")
                co_return;
            auto writes = [large, kept = out]() mutable { return kept.write(*large); };
            asio::co_spawn(co_await asio::this_coro::executor, std::move(writes), asio::detached);
            co_await asio::post(asio::use_awaitable);
        };
        served<Policy> function(service, lambda::streamed(handler));
        const auto reply = block_on(service.invoke("leave", {.timeout = 60s}));
        CHECK(reply.error_type == "Runtime.TruncatedResponse");
        CHECK(block_on(service.invoke("on", {.timeout = 60s})).body == "begun");
        CHECK(function.stop() == 0);
    });
}

TEST_CASE(
    "a handler that ends before the first write of another coroutine has begun is answered for")
{
    raw_service service;
    service.says(next_of("1", "{}", "Connection: close\r\n"));
    service.says(accepted);
    service.says(next_of("2", "{}"));
    service.says(accepted);
    const auto handler = [](lambda::invocation& in,
                            lambda::response_writer& out) -> asio::awaitable<void> {
        if (in.id() == "2") {
            co_await out.write("two");
            co_return;
        }
        auto writes = [kept = out]() mutable { return kept.write("one"); };
        asio::co_spawn(co_await asio::this_coro::executor, std::move(writes), asio::detached);
    };
    {
        served<lambda::context_kept, raw_service> function(service, lambda::streamed(handler));
        service.wait(5);
        CHECK(function.stop() == 0);
    }
    const auto asked = service.requests();
    REQUIRE(asked.size() >= 5);

    CHECK(asked[1].find("invocation/1/error") != std::string::npos);
    CHECK(asked[3].find("invocation/2/response") != std::string::npos);
    CHECK(asked[3].find("two") != std::string::npos);
}

asio::awaitable<loopsafe::error_code> code_of(asio::awaitable<void> write)
{
    try {
        co_await std::move(write);
    } catch (const boost::system::system_error& e) {
        co_return e.code();
    }
    co_return loopsafe::error_code();
}

TEST_CASE("of two writes that are made before either begins, only one is under way at once")
{
    raw_service service;
    service.says(next_of("1", "{}", "Connection: close\r\n"));
    service.says(accepted);
    loopsafe::error_code codes[3];
    const auto handler = [&](lambda::invocation&,
                             lambda::response_writer& out) -> asio::awaitable<void> {
        auto first = code_of(out.write("one"));
        auto second = code_of(out.write("two"));
        const auto both = [&](loopsafe::task_scope& tasks) -> asio::awaitable<void> {
            tasks.start([&]() -> asio::awaitable<void> {
                codes[0] = co_await std::move(first);
                codes[2] = co_await code_of(out.write("three"));
            });
            tasks.start([&]() -> asio::awaitable<void> { codes[1] = co_await std::move(second); });
            co_return;
        };
        co_await loopsafe::with_tasks(both);
    };
    served<lambda::context_kept, raw_service> function(service, lambda::streamed(handler));
    service.wait(2);
    CHECK(function.stop() == 0);
    CHECK(!codes[0]);
    CHECK(codes[1] == lambda::errc::stream_broken);
    CHECK(!codes[2]);
    const auto response = service.requests().at(1);
    CHECK(response.find("two") == response.npos);
    CHECK(response.ends_with("\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"));
}

TEST_CASE("a write that was made before the response ended, and begins after it, is refused")
{
    lambda_service service;
    std::optional<asio::awaitable<void>> kept;
    loopsafe::error_code code;
    const auto handler = [&](lambda::invocation& in,
                             lambda::response_writer& out) -> asio::awaitable<void> {
        co_await out.write(in.event());
        if (kept)
            code = co_await code_of(*std::exchange(kept, std::nullopt));
        else
            kept = out.write("late");
    };
    served<lambda::context_kept> function(service, lambda::streamed(handler));
    for (const std::string event : {"one", "two"})
        CHECK(block_on(service.invoke(event)).body == event);
    CHECK(function.stop() == 0);
    CHECK(code == lambda::errc::stream_ended);
}

TEST_CASE("what goes before a response is refused while its first write connects")
{
    raw_service service;
    service.says(next_of("1", "{}", "Connection: close\r\n"));
    service.says(accepted);
    loopsafe::error_code codes[2];
    const auto handler = [&](lambda::invocation&,
                             lambda::response_writer& out) -> asio::awaitable<void> {
        const auto both = [&](loopsafe::task_scope& tasks) -> asio::awaitable<void> {
            tasks.start([&] { return out.write("one"); });
            tasks.start([&]() -> asio::awaitable<void> {
                const auto refused = [&](const auto& say) {
                    try {
                        say();
                    } catch (const boost::system::system_error& e) {
                        return e.code();
                    }
                    return loopsafe::error_code();
                };
                codes[0] = refused([&] { out.content_type("text/plain"); });
                codes[1] = refused([&] { out.http_response(201); });
                co_return;
            });
            co_return;
        };
        co_await loopsafe::with_tasks(both);
    };
    served<lambda::context_kept, raw_service> function(service, lambda::streamed(handler));
    service.wait(2);
    CHECK(function.stop() == 0);
    for (const auto& each : codes)
        CHECK(each == lambda::errc::bad_response);
}

} // namespace

} // namespace stray_writers_tests
