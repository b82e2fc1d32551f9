// SPDX-License-Identifier: BSL-1.0
// Responses that are sent while they are made.

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <lambda/served.hpp>
#include <stdexcept>

namespace streaming_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;

template <class Body>
loopsafe::error_code code_of(const Body& body)
{
    try {
        body();
    } catch (const boost::system::system_error& e) {
        return e.code();
    }
    return {};
}

asio::awaitable<void> write_words(lambda::invocation& in, lambda::response_writer& out)
{
    std::string_view text = in.event();
    while (!text.empty()) {
        const auto word = text.substr(0, text.find(' ') + 1);
        text.remove_prefix(word.empty() ? text.size() : word.size());
        if (word == "throw ")
            throw std::runtime_error("in mid-stream");
        co_await out.write(word);
    }
}

TEST_CASE("a response that is written arrives in the parts in which it was made")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once(), .invocation_ids = true});
        served<Policy> function(service, lambda::streamed(write_words));
        const auto reply = block_on(service.invoke("one two three "));
        CHECK(reply.ok());
        CHECK(reply.streamed);
        CHECK(reply.chunks == std::vector<std::string>{"one ", "two ", "three "});
        CHECK(reply.content_type == "application/octet-stream");
        const auto nothing = block_on(service.invoke(""));
        CHECK(nothing.ok());
        CHECK(nothing.body.empty());
        CHECK(nothing.streamed);
        CHECK(function.stop() == 0);
        CHECK(service.violations().empty());
        CHECK(function.log().all().empty());
    });
}

TEST_CASE("each part has left before the next is made")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        std::promise<void> seen[3];
        const auto handler = [&](lambda::invocation&,
                                 lambda::response_writer& out) -> asio::awaitable<void> {
            for (auto& each : seen) {
                co_await out.write("part");
                each.get_future().wait(); // blocks all of the runtime: nothing can leave now
            }
        };
        served<Policy> function(service, lambda::streamed(handler));
        auto under_way = service.begin("", {.timeout = 60s});
        for (auto& each : seen) {
            CHECK(block_on(under_way.chunk()) == "part");
            each.set_value();
        }
        CHECK(!block_on(under_way.chunk()));
        CHECK(block_on(under_way.reply()).ok());
        CHECK(function.stop() == 0);
    });
}

TEST_CASE("an error in mid-stream comes behind what was written, and one before it is an error")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once(), .invocation_ids = true});
        served<Policy> function(service, lambda::streamed(write_words));
        const auto late = block_on(service.invoke("one throw "));
        CHECK(late.how == lambda_reply::kind::error);
        CHECK(late.body == "one ");
        CHECK(late.error_type == "Function.RuntimeError");
        CHECK(late.trailers.size() == 2);
        const auto early = block_on(service.invoke("throw "));
        CHECK(early.how == lambda_reply::kind::error);
        CHECK(!early.streamed);
        CHECK(early.body.find("in mid-stream") != std::string::npos);
        CHECK(block_on(service.invoke("on ")).body == "on ");
        CHECK(function.stop() == 0);
        CHECK(service.violations().empty());
    });
}

TEST_CASE("large parts, and empty ones, arrive as they were written")
{
    lambda_service service;
    const std::string large(3'000'000, 'x');
    const auto handler = [&](lambda::invocation&,
                             lambda::response_writer& out) -> asio::awaitable<void> {
        co_await out.write("");
        co_await out.write(large);
        co_await out.write("");
        co_await out.write("end");
    };
    served<lambda::context_per_invocation> function(service, lambda::streamed(handler));
    const auto reply = block_on(service.invoke("", {.timeout = 60s}));
    CHECK(reply.ok());
    CHECK(reply.body == large + "end");
    CHECK(function.stop() == 0);
}

TEST_CASE("status, fields and cookies of an HTTP response go before its body")
{
    lambda_service service;
    const auto handler = [](lambda::invocation& in,
                            lambda::response_writer& out) -> asio::awaitable<void> {
        out.http_response(418, {{"X-Tea", "\"green\""}}, {"a=1", "b=2"});
        if (in.event() == "body")
            co_await out.write("short and stout");
        CHECK((in.event() == "body") == out.has_begun());
        if (out.has_begun())
            CHECK(code_of([&] { out.content_type("text/plain"); }) == lambda::errc::bad_response);
    };
    served<lambda::context_kept> function(service, lambda::streamed(handler));
    const std::string head =
        R"({"statusCode":418,"headers":{"x-tea":"\"green\""},"cookies":["a=1","b=2"]})" +
        std::string(8, '\0');
    for (const std::string body : {"body", "none"}) {
        const auto reply = block_on(service.invoke(body));
        CHECK(reply.body == head + (body == "body" ? "short and stout" : ""));
        CHECK(reply.content_type == "application/vnd.awslambda.http-integration-response");
    }
    CHECK(function.stop() == 0);
}

TEST_CASE("the type of the content and the HTTP response go together, in any order")
{
    lambda_service service;
    const auto handler = [](lambda::invocation& in,
                            lambda::response_writer& out) -> asio::awaitable<void> {
        if (in.event() == "type first")
            out.content_type("text/css");
        out.http_response(200, {{"A", "1"}, {"Connection", "close"}, {"a", "2"}});
        if (in.event() != "type first")
            out.content_type("text/css");
        co_await out.write("x");
    };
    served<lambda::context_kept> function(service, lambda::streamed(handler));
    for (const std::string event : {"type first", "type last"}) {
        const auto reply = block_on(service.invoke(event));
        CHECK(
            reply.body ==
            R"({"statusCode":200,"headers":{"a":"1, 2","content-type":"text/css"},"cookies":[]})" +
                std::string(8, '\0') + "x");
        CHECK(reply.content_type == "application/vnd.awslambda.http-integration-response");
    }
    CHECK(function.stop() == 0);
}

TEST_CASE("what cannot be a header of the response is refused")
{
    lambda_service service;
    const auto handler = [](lambda::invocation&,
                            lambda::response_writer& out) -> asio::awaitable<void> {
        CHECK(code_of([&] { out.content_type("a\r\nb: c"); }) == lambda::errc::bad_response);
        CHECK(code_of([&] { out.content_type(""); }) == lambda::errc::bad_response);
        CHECK(code_of([&] { out.http_response(99); }) == lambda::errc::bad_response);
        CHECK(code_of([&] { out.http_response(200, {}, {"a=1\r\nb: c"}); }) ==
              lambda::errc::bad_response);
        out.content_type("text/plain");
        co_await out.write("x");
    };
    served<lambda::context_kept> function(service, lambda::streamed(handler));
    CHECK(block_on(service.invoke("")).content_type == "text/plain");
}

asio::awaitable<loopsafe::error_code> code_of_write(lambda::response_writer& out,
                                                    std::string_view bytes)
{
    try {
        co_await out.write(bytes);
    } catch (const boost::system::system_error& e) {
        co_return e.code();
    }
    co_return loopsafe::error_code();
}

TEST_CASE("a writer that outlives its response says so")
{
    lambda_service service;
    std::optional<lambda::response_writer> kept;
    std::vector<loopsafe::error_code> codes;
    const auto handler = [&](lambda::invocation& in,
                             lambda::response_writer& out) -> asio::awaitable<void> {
        if (kept)
            codes.push_back(co_await code_of_write(*kept, "late"));
        kept = out;
        co_await out.write(in.event());
    };
    served<lambda::context_kept> function(service, lambda::streamed(handler));
    for (const std::string event : {"one", "two"})
        CHECK(block_on(service.invoke(event)).body == event);
    CHECK(function.stop() == 0);
    REQUIRE(codes.size() == 1);
    CHECK(codes[0] == lambda::errc::stream_ended);
}

TEST_CASE(
    "after a write that was cancelled nothing can follow, and the caller sees a broken answer")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        std::vector<bool> broken;
        const std::string large(64'000'000, 'x'); // more than any buffer takes
        const auto handler = [&](lambda::invocation& in,
                                 lambda::response_writer& out) -> asio::awaitable<void> {
            if (in.event() != "cancel") {
                co_await out.write(in.event());
                co_return;
            }
            asio::steady_timer timer(co_await asio::this_coro::executor);
            timer.expires_after(0s);
            using namespace asio::experimental::awaitable_operators;
            auto write = out.write(large);
            auto wait = timer.async_wait(asio::use_awaitable);
            co_await (std::move(write) || std::move(wait));
            for (int i = 0; i < 2; ++i) {
                const auto code = co_await code_of_write(out, "after");
                broken.push_back(code == lambda::errc::stream_broken);
            }
        };
        served<Policy> function(service, lambda::streamed(handler));
        const auto reply = block_on(service.invoke("cancel", {.timeout = 60s}));
        CHECK(!reply.ok());
        CHECK(reply.body.find("after") == std::string::npos);
        CHECK(block_on(service.invoke("on")).body == "on");
        CHECK(function.stop() == 0);
        CHECK(broken == std::vector<bool>{true, true});
        CHECK(function.log().has("the streamed response is broken off"));
    });
}

TEST_CASE("a handler that streams and does not end is cut off, and the next event is served")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        const auto handler = [](lambda::invocation& in,
                                lambda::response_writer& out) -> asio::awaitable<void> {
            co_await out.write("begun");
            if (in.event() != "hang")
                co_return;
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            for (;;) {
                co_await asio::this_coro::throw_if_cancelled(false);
                co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
            }
        };
        served<Policy> function(service, lambda::streamed(handler), {.stop_within = 20ms});
        const auto reply = block_on(service.invoke("hang", {.timeout = 60s, .deadline = "100"}));
        CHECK(reply.how == lambda_reply::kind::error);
        CHECK(reply.body == "begun");
        CHECK(reply.error_type == "Runtime.HandlerTimeout");
        CHECK(block_on(service.invoke("on")).ok());
        CHECK(function.stop() == 0);
    });
}

TEST_CASE("a response that has begun ends as broken if its context is given up")
{
    lambda_service service;
    std::promise<void> begun;
    const auto handler = [&](lambda::invocation&,
                             lambda::response_writer& out) -> asio::awaitable<void> {
        co_await out.write("begun");
        begun.set_value();
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await asio::this_coro::throw_if_cancelled(false);
        for (;;)
            co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    };
    served<lambda::context_per_invocation> function(service, lambda::streamed(handler),
                                                    {.stop_within = 20ms});
    auto call = service.begin("", {.timeout = 60s});
    begun.get_future().wait();
    CHECK(function.stop() == 0);
    const auto reply = block_on(call.reply());
    CHECK(reply.how == lambda_reply::kind::error);
    CHECK(reply.body == "begun");
    CHECK(reply.error_type == "Runtime.HandlerStopped");
    CHECK(service.violations().empty());
}

} // namespace

} // namespace streaming_tests
