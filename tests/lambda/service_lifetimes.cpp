// SPDX-License-Identifier: BSL-1.0
#include "raw_runtime.hpp"

#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace service_lifetimes_tests {

namespace {

using namespace lambda_support;
using loopsafe::testing::mortal_context;

// Answers each event with itself, until the service has gone.
void echo(const std::string& endpoint)
{
    try {
        raw_runtime runtime(endpoint);
        for (;;) {
            const auto event = runtime.next();
            if (event.status != 200)
                return;
            runtime.respond(event.id(), event.body);
        }
    } catch (const boost::system::system_error&) {
    }
}

TEST_CASE("a service that is destroyed ends what waits for it")
{
    std::optional<lambda_service> service(std::in_place, lambda_service_options{.concurrency = 2});
    raw_runtime runtime(*service);
    raw_runtime streaming(*service);
    raw_runtime third(*service);
    auto running = service->begin("1");
    const auto id = runtime.next().id();
    auto streamed = service->begin("2");
    streaming.begin_stream(streaming.next().id());
    streaming.chunk("half");
    CHECK(block_on(streamed.chunk()) == "half");
    auto queued = service->begin("3");
    service.reset();
    for (auto* call : {&running, &streamed, &queued})
        CHECK(block_on(call->reply()).how == how::gone);
    CHECK(block_on(streamed.chunk()) == std::nullopt);
    CHECK(runtime.end() != error_code());
    CHECK(streaming.end() != error_code());
}

TEST_CASE("other operations throw when their service is destroyed")
{
    asio::io_context context(1);
    std::optional<lambda_service> service(std::in_place,
                                          lambda_service_options{.snap_start = true});
    int aborted = 0;
    const auto count = [&](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const boost::system::system_error& e) {
            aborted += e.code() == asio::error::operation_aborted;
        }
    };
    asio::co_spawn(context, service->ready(), count);
    asio::co_spawn(context, service->prepared(), count);
    asio::co_spawn(context, service->freeze(::getpid()),
                   [&](std::exception_ptr error, bool) { count(error); });
    context.poll();
    service->violations(); // it has got all of them
    service.reset();
    context.run();
    CHECK(aborted == 3);
}

TEST_CASE("a service may be destroyed while a runtime waits for an event")
{
    std::optional<lambda_service> service(std::in_place);
    raw_runtime runtime(*service);
    runtime.ask_next();
    block_on(service->ready());
    service.reset();
    CHECK(runtime.end() != error_code());
}

TEST_CASE("the context of a caller may die after any number of its handlers")
{
    std::optional<lambda_service> service(std::in_place);
    std::thread runtime([endpoint = service->endpoint()] { echo(endpoint); });
    for (int handlers = 0; handlers < 40; ++handlers) {
        mortal_context context;
        for (int calls = 0; calls < 3; ++calls)
            asio::co_spawn(*context, service->invoke("{}"),
                           [](std::exception_ptr, lambda_reply) {});
        for (int i = 0; i < handlers && context->run_one() != 0; ++i) {}
        context.die();
    }
    CHECK(block_on(service->invoke("\"last\"")).body == "\"last\"");
    service.reset();
    runtime.join();
}

TEST_CASE("a cancelled call ends, and the function does not notice once it has the event")
{
    lambda_service service;
    asio::io_context context(1);
    asio::cancellation_signal cancel;
    std::optional<bool> aborted;
    asio::co_spawn(
        context, service.invoke("1"),
        asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr error, lambda_reply) {
            aborted = error != nullptr;
        }));
    context.poll();
    raw_runtime runtime(service);
    const auto event = runtime.next();
    SUBCASE("while it waits")
    {
        cancel.emit(asio::cancellation_type::terminal);
        context.run();
        CHECK(aborted == true);
        CHECK(runtime.respond(event.id(), "x").status == 202);
    }
    SUBCASE("when the answer is there")
    {
        CHECK(runtime.respond(event.id(), "x").status == 202);
        cancel.emit(asio::cancellation_type::terminal);
        context.run();
        CHECK(aborted.has_value());
    }
    auto next = service.begin("2");
    CHECK(runtime.next().body == "2");
    CHECK(kinds(service) == violations{});
}

TEST_CASE("a cancelled call that the function has not got is withdrawn")
{
    lambda_service service;
    asio::io_context context(1);
    asio::cancellation_signal cancel;
    asio::co_spawn(
        context, service.invoke("1"),
        asio::bind_cancellation_slot(cancel.slot(), [](std::exception_ptr, lambda_reply) {}));
    context.poll();
    cancel.emit(asio::cancellation_type::terminal);
    context.run();
    auto call = service.begin("2");
    raw_runtime runtime(service);
    CHECK(runtime.next().body == "2");
}

TEST_CASE("a chunk that a cancelled operation waited for comes with the next one")
{
    lambda_service service;
    auto call = service.begin("{}");
    raw_runtime runtime(service);
    runtime.begin_stream(runtime.next().id());
    asio::io_context context(1);
    asio::cancellation_signal cancel;
    bool aborted = false;
    asio::co_spawn(context, call.chunk(),
                   asio::bind_cancellation_slot(
                       cancel.slot(), [&](std::exception_ptr error, std::optional<std::string>) {
                           aborted = error != nullptr;
                       }));
    context.poll();
    cancel.emit(asio::cancellation_type::terminal);
    context.run();
    CHECK(aborted);
    runtime.chunk("x");
    CHECK(block_on(call.chunk()) == "x");
}

TEST_CASE("two coroutines do not wait for one invocation")
{
    lambda_service service;
    auto call = service.begin("{}");
    asio::io_context context(1);
    asio::co_spawn(context, call.reply(), asio::detached);
    context.poll();
    CHECK_THROWS_AS(block_on(call.reply()), std::logic_error);
}

TEST_CASE("a service is called from several threads, each with a context of its own")
{
    std::optional<lambda_service> service(std::in_place, lambda_service_options{.concurrency = 4});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([endpoint = service->endpoint()] { echo(endpoint); });
    std::atomic<int> good{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
        callers.emplace_back([&, i] {
            for (int k = 0; k < 50; ++k) {
                const auto event = std::to_string(i * 1000 + k);
                good += block_on(service->invoke(event)).body == event;
            }
        });
    }
    for (auto& each : callers)
        each.join();
    CHECK(good == 200);
    CHECK(kinds(*service) == violations{});
    service.reset();
    for (auto& each : threads)
        each.join();
}

} // namespace

} // namespace service_lifetimes_tests
