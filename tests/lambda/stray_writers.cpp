// SPDX-License-Identifier: BSL-1.0
// Responses that several coroutines write, and that outlive their handlers.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <lambda/raw_service.hpp>
#include <lambda/served.hpp>
#include <memory>
#include <string>
#include <utility>

namespace stray_writers_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;

TEST_CASE("a handler that ends while another coroutine writes is cut off, and the next is served")
{
    for_each_policy([]<class Policy>() {
        lambda_service service;
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

} // namespace

} // namespace stray_writers_tests
