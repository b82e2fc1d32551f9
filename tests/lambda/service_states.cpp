// SPDX-License-Identifier: BSL-1.0
#include "raw_runtime.hpp"

#include <loopsafe/testing/manual_clock.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace service_states_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;
using loopsafe::testing::at;
using loopsafe::testing::manual_clock;

TEST_CASE("an invocation times out by the clock that the test moves, and a late answer is gone")
{
    manual_clock::reset();
    lambda_service service({.clock = &manual_clock::read});
    auto call = service.begin("{}", {.timeout = 3s});
    raw_runtime runtime(service);
    const auto event = runtime.next();
    const auto due = manual_clock::read().wall + 3s;
    CHECK(event.field("Lambda-Runtime-Deadline-Ms") ==
          std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(due).count()));
    manual_clock::move(2999ms, 2999ms, 2999ms);
    service.look_at_clock();
    manual_clock::move(1ms, 1ms, 1ms);
    service.look_at_clock();
    const auto reply = block_on(call.reply());
    CHECK(reply.how == how::timed_out);
    CHECK(reply.body == "Task timed out after 3.00 seconds");
    CHECK(reply.error_type == "Sandbox.Timedout");
    for (int i = 0; i < 2; ++i) {
        const auto late = runtime.respond(event.id(), "x");
        CHECK(late.status == 410);
        CHECK(late.body ==
              "{\"errorMessage\":\"Invoke timeout\",\"errorType\":\"InvokeTimeout\"}\n");
    }
    CHECK(runtime.fail(event.id()).status == 410);
    auto next = service.begin("{}");
    CHECK(runtime.respond(runtime.next().id(), "y").status == 202);
    CHECK(block_on(next.reply()).body == "y");
    CHECK(kinds(service) == violations{});
}

TEST_CASE("an invocation times out in the middle of its response")
{
    manual_clock::reset();
    lambda_service service({.clock = &manual_clock::read});
    auto call = service.begin("{}", {.timeout = 1s});
    raw_runtime runtime(service);
    runtime.begin_stream(runtime.next().id());
    runtime.chunk("half");
    CHECK(block_on(call.chunk()) == "half");
    manual_clock::move(1s, 1s, 1s);
    service.look_at_clock();
    CHECK(block_on(call.reply()).how == how::timed_out);
    runtime.chunk("more");
    CHECK(runtime.listen().status == 410);
    runtime.end_stream();
    auto next = service.begin("{}");
    CHECK(runtime.next().status == 200); // the connection goes on
    CHECK(kinds(service) == violations{});
}

TEST_CASE("an invocation times out by the system's clock")
{
    lambda_service service;
    raw_runtime runtime(service);
    auto call = service.begin("{}", {.timeout = 1ms});
    CHECK(runtime.next().status == 200);
    const auto reply = block_on(call.reply());
    CHECK(reply.how == how::timed_out);
    CHECK(reply.body == "Task timed out after 0.00 seconds");
}

TEST_CASE("an invocation may take for ever")
{
    lambda_service service;
    raw_runtime runtime(service);
    auto call = service.begin("{}", {.timeout = loopsafe::never});
    const auto event = runtime.next();
    CHECK(event.field("Lambda-Runtime-Deadline-Ms") == "9223372036854"); // the last that there is
    CHECK(runtime.respond(event.id(), "x").status == 202);
    CHECK(block_on(call.reply()).body == "x");
}

TEST_CASE("invocations wait until the function asks, and come in the order of their calls")
{
    lambda_service service;
    std::vector<lambda_invocation> calls;
    for (const char* event : {"1", "2", "3"})
        calls.push_back(service.begin(event));
    raw_runtime runtime(service);
    for (const char* event : {"1", "2", "3"}) {
        const auto got = runtime.next();
        CHECK(got.body == event);
        runtime.respond(got.id(), event);
    }
    for (std::size_t i = 0; i < calls.size(); ++i)
        CHECK(block_on(calls[i].reply()).body == std::to_string(i + 1));
}

TEST_CASE("a call that is given up before the function got the event is withdrawn")
{
    lambda_service service;
    {
        const auto given_up = service.begin("1");
    }
    auto call = service.begin("2");
    raw_runtime runtime(service);
    CHECK(runtime.next().body == "2");
}

TEST_CASE("with a concurrency of 8 a function has 8 events at once, and answers them in any order")
{
    lambda_service service({.concurrency = 8, .invocation_ids = true});
    std::vector<lambda_invocation> calls;
    std::vector<std::unique_ptr<raw_runtime>> runtimes;
    std::vector<raw_runtime::answer> events;
    for (int i = 0; i < 8; ++i)
        calls.push_back(service.begin(std::to_string(i)));
    for (int i = 0; i < 8; ++i) {
        runtimes.push_back(std::make_unique<raw_runtime>(service));
        events.push_back(runtimes.back()->next());
    }
    for (std::size_t i = 8; i-- > 0;)
        CHECK(runtimes[(i + 3) % 8]
                  ->respond(events[i].id(), "done " + events[i].body,
                            "Lambda-Runtime-Invocation-Id: " + events[i].nonce() + "\r\n")
                  .status == 202);
    for (std::size_t i = 0; i < calls.size(); ++i)
        CHECK(block_on(calls[i].reply()).body == "done " + std::to_string(i));
    CHECK(kinds(service) == violations{});
}

TEST_CASE("an id may come again, but not while it is under way")
{
    lambda_service service({.concurrency = 2});
    auto first = service.begin("1", {.id = "same"});
    raw_runtime runtime(service);
    raw_runtime other(service);
    CHECK(runtime.next().id() == "same");
    auto second = service.begin("2", {.id = "same"});
    other.ask_next();
    CHECK(block_on(second.reply()).error_type == "Client.DuplicatedInvokeId");
    CHECK(runtime.respond("same", "x").status == 202);
    CHECK(block_on(first.reply()).body == "x");
    auto third = service.begin("3", {.id = "same"});
    CHECK(other.listen().id() == "same");
    CHECK(other.respond("same", "y").status == 202);
    CHECK(block_on(third.reply()).body == "y");
    CHECK(kinds(service) == violations{});
}

TEST_CASE("what fails to start is told to all who call, until another takes its place")
{
    lambda_service service;
    auto before = service.begin("{}");
    raw_runtime runtime(service);
    CHECK(runtime
              .call("POST", std::string(runtime_path) + "init/error",
                    std::string(raw_runtime::json_type) +
                        "Lambda-Runtime-Function-Error-Type: Runtime.NoSuchHandler\r\n",
                    raw_runtime::error_json)
              .status == 202);
    for (auto* call : {&before}) {
        const auto reply = block_on(call->reply());
        CHECK(reply.how == how::failed_init);
        CHECK(reply.body == raw_runtime::error_json);
        CHECK(reply.error_type == "Runtime.NoSuchHandler");
    }
    CHECK(block_on(service.invoke("{}")).how == how::failed_init);
    CHECK(runtime.next().status == 403);
    service.restart();
    auto after = service.begin("{}");
    raw_runtime another(service);
    CHECK(another.respond(another.next().id(), "x").status == 202);
    CHECK(block_on(after.reply()).how == how::response);
}

TEST_CASE("a restart ends what runs as crashed")
{
    lambda_service service;
    auto call = service.begin("{}");
    raw_runtime runtime(service);
    const auto id = runtime.next().id();
    service.restart();
    const auto reply = block_on(call.reply());
    CHECK(reply.how == how::crashed);
    CHECK(reply.error_type == "Runtime.ExitError");
    CHECK(runtime.respond(id, "x").status == 400);
}

std::future<lambda_reply> restore(lambda_service& service)
{
    return std::async(std::launch::async, [&] { return block_on(service.restore()); });
}

TEST_CASE("a snapshot is taken when the runtime asks for it, and restored")
{
    lambda_service service({.snap_start = true});
    raw_runtime runtime(service);
    runtime.ask("GET", std::string(runtime_path) + "restore/next");
    block_on(service.prepared());
    raw_runtime other(service);
    CHECK(other.next().status == 403); // it is to be restored first
    auto restored = restore(service);
    CHECK(runtime.listen().status == 200);
    runtime.ask_next();
    CHECK(restored.get().how == how::response);
    CHECK(kinds(service) == violations{wrong::second_next});
}

TEST_CASE("a restore that fails is reported to either of two paths")
{
    for (const std::string path : {"restore/error", "init/error"}) {
        lambda_service service({.snap_start = true});
        raw_runtime runtime(service);
        const auto report = [&] {
            return runtime.call("POST", std::string(runtime_path) + path,
                                std::string(raw_runtime::json_type) +
                                    "Lambda-Runtime-Function-Error-Type: "
                                    "Runtime.AfterRestoreError\r\n",
                                raw_runtime::error_json);
        };
        runtime.ask("GET", std::string(runtime_path) + "restore/next");
        auto restored = restore(service);
        CHECK(runtime.listen().status == 200);
        CHECK(report().status == 202);
        const auto reply = restored.get();
        CHECK(reply.how == how::failed_init);
        CHECK(reply.error_type == "Runtime.AfterRestoreError");
        CHECK(block_on(service.invoke("{}")).error_type == "Runtime.AfterRestoreError");
        CHECK(report().status == 403);
        CHECK(kinds(service) == violations{wrong::wrong_state});
    }
}

// An extension with an id.
struct extension : raw_runtime {
    extension(const lambda_service& service, const std::string& name, const std::string& events)
        : raw_runtime(service)
    {
        const auto entered =
            call("POST", std::string(extension_path) + "register",
                 "Lambda-Extension-Name: " + name + "\r\n", "{\"events\":[" + events + "]}");
        CHECK(entered.status == 200);
        CHECK(entered.body == "{\"functionName\":\"function\",\"functionVersion\":\"$LATEST\","
                              "\"handler\":\"bootstrap\"}\n");
        id =
            "Lambda-Extension-Identifier: " + entered.field("Lambda-Extension-Identifier") + "\r\n";
    }
    void ask_next() { ask("GET", std::string(extension_path) + "event/next", id); }

    std::string id;
};

TEST_CASE("a function gets no event before each extension asks for one")
{
    lambda_service service;
    extension silent(service, "silent", "");
    extension watcher(service, "watcher", "\"INVOKE\"");
    auto call = service.begin("{}", {.trace = "Root=1"});
    raw_runtime runtime(service);
    runtime.ask_next();
    watcher.ask_next();
    CHECK(runtime.socket().available() == 0);
    silent.ask_next();
    const auto event = runtime.listen();
    const auto told = watcher.listen();
    CHECK(told.body ==
          "{\"eventType\":\"INVOKE\",\"deadlineMs\":" + event.field("Lambda-Runtime-Deadline-Ms") +
              ",\"requestId\":\"" + event.id() +
              "\",\"invokedFunctionArn\":\"arn:aws:lambda:eu-central-1:123456789012:"
              "function:function\",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":"
              "\"Root=1\"}}");
    CHECK(silent.socket().available() == 0);
    runtime.respond(event.id(), "x");
    auto next = service.begin("{}");
    runtime.ask_next();
    CHECK(block_on(call.reply()).body == "x");
    CHECK(runtime.socket().available() == 0);
    watcher.ask_next();
    CHECK(runtime.listen().status == 200);
    CHECK(kinds(service) == violations{});
}

TEST_CASE("an extension that waits loses its connection when another environment begins")
{
    lambda_service service;
    extension waits(service, "waits", "");
    waits.ask_next();
    while (service.requests(at::extension_next) == 0) {}
    service.restart();
    CHECK(waits.end() == asio::error::connection_reset);
    const extension again(service, "waits", "");
}

TEST_CASE("only extensions of the test's naming may ask for SHUTDOWN, and each reports its errors")
{
    lambda_service service({.external_extensions = {"agent"}});
    extension agent(service, "agent", "\"INVOKE\",\"SHUTDOWN\"");
    CHECK(agent
              .call("POST", std::string(extension_path) + "exit/error",
                    agent.id + "Lambda-Extension-Function-Error-Type: Agent.Ended\r\n", "{}")
              .status == 202);
    CHECK(service.extension_errors() == std::vector<std::string>{"agent: Agent.Ended"});
    CHECK(kinds(service) == violations{});
}

} // namespace

} // namespace service_states_tests
