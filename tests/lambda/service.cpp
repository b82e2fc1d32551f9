// SPDX-License-Identifier: BSL-1.0
#include "raw_runtime.hpp"

#include <doctest/doctest.h>

namespace service_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;

TEST_CASE("a function gets the event, and its caller the answer")
{
    lambda_service service;
    auto call = service.begin("{\"n\":1}", {.tenant = "blue",
                                            .client_context = "{not json",
                                            .cognito_identity = "{}",
                                            .trace = "Root=1-2-3"});
    raw_runtime runtime(service);
    const auto event = runtime.next();
    CHECK(event.status == 200);
    CHECK(event.body == "{\"n\":1}");
    CHECK(event.field("Content-Type") == "application/json");
    CHECK(event.field("Lambda-Runtime-Aws-Tenant-Id") == "blue");
    CHECK(event.field("Lambda-Runtime-Client-Context") == "{not json");
    CHECK(event.field("Lambda-Runtime-Cognito-Identity") == "{}");
    CHECK(event.field("Lambda-Runtime-Trace-Id") == "Root=1-2-3");
    CHECK(event.field("Lambda-Runtime-Invoked-Function-Arn") ==
          "arn:aws:lambda:eu-central-1:123456789012:function:function");
    CHECK(event.nonce().empty());
    const auto taken = runtime.respond(event.id(), "done", "Content-Type: text/plain\r\n");
    CHECK(taken.status == 202);
    CHECK(taken.body == "{\"status\":\"OK\"}\n");
    const auto reply = block_on(call.reply());
    CHECK(reply.how == how::response);
    CHECK(reply.id == event.id());
    CHECK(reply.body == "done");
    CHECK(reply.content_type == "text/plain");
    CHECK(reply.chunks == std::vector<std::string>{"done"});
    CHECK_FALSE(reply.streamed);
    CHECK(kinds(service) == violations{});
}

TEST_CASE("headers without a value are left out")
{
    lambda_service service;
    auto call = service.begin("{}", {.deadline = "none"});
    raw_runtime runtime(service);
    const auto event = runtime.next();
    for (const char* name :
         {"Deadline-Ms", "Client-Context", "Cognito-Identity", "Trace-Id", "Aws-Tenant-Id"})
        CHECK(event.fields.count(std::string("Lambda-Runtime-") + name) == 0);
}

TEST_CASE("an error is reported with its type and body")
{
    lambda_service service;
    auto call = service.begin("{}");
    raw_runtime runtime(service);
    const auto id = runtime.next().id();
    const auto taken = runtime.fail(id, raw_runtime::error_json,
                                    "Content-Type: application/json\r\n"
                                    "Lambda-Runtime-Function-Error-Type: Function.Broken\r\n"
                                    "Lambda-Runtime-Function-XRay-Error-Cause: {\"a\":1}\r\n");
    CHECK(taken.status == 202);
    const auto reply = block_on(call.reply());
    CHECK(reply.how == how::error);
    CHECK(reply.error_type == "Function.Broken");
    CHECK(reply.body == raw_runtime::error_json);
    CHECK(reply.xray_cause == "{\"a\":1}");
    CHECK(kinds(service) == violations{});
}

TEST_CASE("a chunk of a stream is there before the next one is made")
{
    lambda_service service;
    auto call = service.begin("{}");
    raw_runtime runtime(service);
    const auto id = runtime.next().id();
    runtime.begin_stream(id);
    for (const std::string text : {"one", "two", "three"}) {
        runtime.chunk(text);
        CHECK(block_on(call.chunk()) == text);
    }
    runtime.end_stream();
    CHECK(block_on(call.chunk()) == std::nullopt);
    const auto reply = block_on(call.reply());
    CHECK(reply.how == how::response);
    CHECK(reply.streamed);
    CHECK(reply.body == "onetwothree");
    CHECK(reply.chunks == std::vector<std::string>{"one", "two", "three"});
    CHECK(runtime.listen().status == 202);
    CHECK(kinds(service) == violations{});
}

TEST_CASE("an error in mid-stream arrives with its trailers")
{
    lambda_service service;
    auto call = service.begin("{}");
    raw_runtime runtime(service);
    const auto id = runtime.next().id();
    runtime.begin_stream(id, "Trailer: Lambda-Runtime-Function-Error-Type\r\n"
                             "Trailer: Lambda-Runtime-Function-Error-Body\r\n"
                             "Lambda-Runtime-Function-Response-Mode: streaming\r\n");
    runtime.chunk("half");
    runtime.end_stream("Lambda-Runtime-Function-Error-Type: Function.Broken\r\n"
                       "Lambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n");
    CHECK(runtime.listen().status == 202);
    const auto reply = block_on(call.reply());
    CHECK(reply.how == how::error);
    CHECK(reply.error_type == "Function.Broken");
    CHECK(reply.body == "half");
    CHECK(reply.trailers.size() == 2);
    CHECK(reply.trailers[1].second == "eyJhIjoxfQ==");
    CHECK(kinds(service) == violations{});
}

} // namespace

} // namespace service_tests
