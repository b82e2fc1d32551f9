// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: the threads are those of service.cpp and runtime.cpp.
#include "raw_runtime.hpp"

#include <doctest/doctest.h>

#include <string>

namespace service_violations_tests {

namespace {

using namespace lambda_support;

const std::string invocation = std::string(runtime_path) + "invocation/";
const std::string nonce_is = "Lambda-Runtime-Invocation-Id: ";

// A service whose function has an event.
struct invoked {
    explicit invoked(lambda_service_options options = {}) : service(options)
    {
        const auto event = runtime.next();
        id = event.id();
        nonce = event.nonce();
    }

    lambda_service service;
    lambda_invocation call = service.begin("{}");
    raw_runtime runtime{service};
    std::string id;
    std::string nonce;
};

TEST_CASE("/next before the answer gives the same event again, and is a violation")
{
    invoked it;
    CHECK(it.runtime.next().id() == it.id);
    CHECK(kinds(it.service) == violations{wrong::second_next});
}

TEST_CASE("/next while another is pending is refused")
{
    lambda_service service;
    raw_runtime first(service);
    raw_runtime second(service);
    first.ask_next();
    block_on(service.ready());
    const auto refused = second.next();
    CHECK(refused.status == 403);
    CHECK(refused.body == "{\"errorMessage\":\"State transition from Ready to Ready failed for "
                          "runtime. Error: State transition is not allowed\",\"errorType\":"
                          "\"InvalidStateTransition\"}\n");
    CHECK(kinds(service) == violations{wrong::second_next});
}

TEST_CASE("/next in the middle of a response is refused")
{
    invoked it;
    it.runtime.begin_stream(it.id);
    it.runtime.chunk("x");
    CHECK(block_on(it.call.chunk()) == "x");
    raw_runtime other(it.service);
    CHECK(other.next().status == 403);
    CHECK(kinds(it.service) == violations{wrong::second_next});
}

TEST_CASE("/next after one that the runtime gave up is refused")
{
    lambda_service service;
    raw_runtime runtime(service);
    runtime.ask_next();
    block_on(service.ready());
    runtime.leave();
    while (kinds(service).empty() || kinds(service).back() != wrong::abandoned_next) {
        raw_runtime again(service);
        CHECK(again.next().status == 403);
    }
}

TEST_CASE("with a concurrency of 2 a third /next at once is refused")
{
    lambda_service service({.concurrency = 2});
    raw_runtime first(service);
    raw_runtime second(service);
    raw_runtime third(service);
    first.ask_next();
    second.ask_next();
    while (service.requests(loopsafe::testing::at::next) < 2) {}
    CHECK(third.next().status == 500);
    CHECK(kinds(service) == violations{wrong::second_next});
}

TEST_CASE("an answer to an id that was never given is refused")
{
    invoked it;
    CHECK(it.runtime.respond("nobody", "x").status == 400);
    CHECK(it.runtime.fail("nobody").status == 400);
    CHECK(kinds(it.service) == violations{wrong::unknown_id, wrong::unknown_id});
}

TEST_CASE("an answer to an id that has one is refused")
{
    invoked it;
    CHECK(it.runtime.respond(it.id, "x").status == 202);
    CHECK(it.runtime.respond(it.id, "x").status == 403);
    CHECK(it.runtime.fail(it.id).status == 403);
    auto another = it.service.begin("{}");
    CHECK(it.runtime.next().status == 200);
    CHECK(it.runtime.respond(it.id, "x").status == 400);
    CHECK(kinds(it.service) ==
          violations{wrong::answered_id, wrong::answered_id, wrong::answered_id});
    CHECK(block_on(it.call.reply()).body == "x");
}

TEST_CASE("a second answer while the first comes in is refused")
{
    for (const std::size_t concurrency : {1U, 2U}) {
        invoked it({.concurrency = concurrency});
        it.runtime.begin_stream(it.id);
        it.runtime.chunk("x");
        CHECK(block_on(it.call.chunk()) == "x");
        raw_runtime other(it.service);
        CHECK(other.respond(it.id, "y").status == (concurrency == 1 ? 403 : 400));
        it.runtime.end_stream();
        CHECK(it.runtime.listen().status == 202);
        CHECK(block_on(it.call.reply()).body == "x");
        CHECK(kinds(it.service) == violations{wrong::answered_id});
    }
}

TEST_CASE("a nonce that was sent must be echoed, and only then")
{
    SUBCASE("echoed")
    {
        invoked it({.invocation_ids = true});
        REQUIRE_FALSE(it.nonce.empty());
        CHECK(it.runtime.respond(it.id, "x", nonce_is + it.nonce + "\r\n").status == 202);
        CHECK(kinds(it.service) == violations{});
    }
    SUBCASE("missing")
    {
        invoked it({.invocation_ids = true});
        CHECK(it.runtime.respond(it.id, "x").status == 202);
        CHECK(kinds(it.service) == violations{wrong::missing_nonce});
    }
    SUBCASE("wrong")
    {
        invoked it({.invocation_ids = true});
        CHECK(it.runtime.respond(it.id, "x", nonce_is + "another\r\n").status == 410);
        CHECK(kinds(it.service) == violations{wrong::wrong_nonce});
        CHECK(it.runtime
                  .fail(it.id, raw_runtime::error_json,
                        std::string(raw_runtime::json_type) + nonce_is + it.nonce + "\r\n")
                  .status == 202);
        CHECK(block_on(it.call.reply()).how == how::error);
    }
    SUBCASE("invented")
    {
        invoked it;
        CHECK(it.runtime.respond(it.id, "x", nonce_is + "any\r\n").status == 202);
        CHECK(kinds(it.service) == violations{wrong::invented_nonce});
    }
}

TEST_CASE("error trailers in the body are found, in any case")
{
    invoked it;
    it.runtime.begin_stream(it.id);
    it.runtime.chunk("half\r\nlambda-runtime-function-error-type: Function.Broken\r\n");
    it.runtime.end_stream();
    CHECK(it.runtime.listen().status == 202);
    CHECK(kinds(it.service) == violations{wrong::trailers_in_body});
}

TEST_CASE("an error body in the trailers wants a type, and is JSON in base64")
{
    struct {
        std::string trailers;
        violations found;
    } cases[] = {
        {"Lambda-Runtime-Function-Error-Body: e30=\r\n", {wrong::trailer_without_type}},
        {"Lambda-Runtime-Function-Error-Type: A\r\nLambda-Runtime-Function-Error-Body: {}\r\n",
         {wrong::bad_trailer}},
        {"Lambda-Runtime-Function-Error-Type: A\r\nLambda-Runtime-Function-Error-Body: eHg=\r\n",
         {wrong::bad_trailer}},
        {"Lambda-Runtime-Function-Error-Type:\r\n", {wrong::bad_trailer}},
        {"Lambda-Runtime-Function-Error-Type: A\r\n", {}},
        {"X-Other: 1\r\n", {}},
    };
    for (const auto& each : cases) {
        CAPTURE(each.trailers);
        invoked it;
        it.runtime.begin_stream(it.id, "Trailer: Lambda-Runtime-Function-Error-Type, "
                                       "Lambda-Runtime-Function-Error-Body\r\n" +
                                           std::string(raw_runtime::streaming));
        it.runtime.chunk("x");
        it.runtime.end_stream(each.trailers);
        CHECK(it.runtime.listen().status == 202);
        CHECK(kinds(it.service) == each.found);
    }
}

TEST_CASE("an unknown response mode is refused, and the caller gets an error")
{
    invoked it;
    CHECK(
        it.runtime.respond(it.id, "x", "Lambda-Runtime-Function-Response-Mode: drip\r\n").status ==
        400);
    CHECK(block_on(it.call.reply()).error_type == "Runtime.InvalidResponseModeHeader");
    CHECK(kinds(it.service) == violations{wrong::bad_response_mode});
}

TEST_CASE("a response that breaks off is an error")
{
    const auto begin = [](invoked& it, bool chunked) {
        if (chunked) {
            it.runtime.begin_stream(it.id);
            it.runtime.chunk("half");
        } else {
            it.runtime.send("POST " + invocation + it.id +
                            "/response HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf");
        }
        it.runtime.leave();
    };
    for (const bool chunked : {true, false}) {
        invoked it;
        begin(it, chunked);
        const auto reply = block_on(it.call.reply());
        CHECK(reply.how == how::error);
        CHECK(reply.error_type == "Runtime.TruncatedResponse");
        CHECK(kinds(it.service) == violations{wrong::truncated_response});
    }
}

TEST_CASE("an error says that it is JSON, and is, with a message and a type")
{
    struct {
        std::string fields;
        std::string body;
        violations found;
    } cases[] = {
        {"Content-Type: application/json\r\n", std::string(raw_runtime::error_json), {}},
        {"Content-Type: application/json; charset=utf-8\r\n",
         std::string(raw_runtime::error_json),
         {}},
        {"Content-Type: application/vnd.aws.lambda.error.cause+json\r\n",
         std::string(raw_runtime::error_json),
         {}},
        {"Content-Type: text/plain\r\n",
         std::string(raw_runtime::error_json),
         {wrong::error_content_type}},
        {"", std::string(raw_runtime::error_json), {wrong::error_content_type}},
        {std::string(raw_runtime::json_type), "it broke", {wrong::error_body}},
        {std::string(raw_runtime::json_type), R"({"errorMessage":"m"})", {wrong::error_body}},
        {std::string(raw_runtime::json_type),
         R"({"errorMessage":1,"errorType":"t"})",
         {wrong::error_body}},
        {std::string(raw_runtime::json_type),
         R"({"errorMessage":"m","errorType":"t"} x)",
         {wrong::error_body}},
        {std::string(raw_runtime::json_type) +
             "Lambda-Runtime-Function-Error-Type: std::runtime_error\r\n",
         std::string(raw_runtime::error_json),
         {wrong::error_type}},
        {std::string(raw_runtime::json_type) +
             "Lambda-Runtime-Function-XRay-Error-Cause: {\"a\":\r\n",
         std::string(raw_runtime::error_json),
         {wrong::xray_cause}},
        {std::string(raw_runtime::json_type) + "Lambda-Runtime-Function-XRay-Error-Cause: \"" +
             std::string(1024 * 1024, 'x') + "\"\r\n",
         std::string(raw_runtime::error_json),
         {wrong::xray_cause}},
    };
    for (const auto& each : cases) {
        CAPTURE(each.fields.substr(0, 100));
        CAPTURE(each.body);
        invoked it;
        CHECK(it.runtime.fail(it.id, each.body, each.fields).status == 202);
        CHECK(kinds(it.service) == each.found);
        CHECK(block_on(it.call.reply()).how == how::error);
    }
}

TEST_CASE("a type of an error that is malformed is Runtime.Unknown, or Function.Unknown")
{
    for (const auto& [sent, known] :
         {std::pair("Function.Some", "Function.Some"),
          std::pair("Runtime.NoSuchHandler", "Runtime.NoSuchHandler"),
          std::pair("Function.some", "Function.Unknown"), std::pair("Some", "Runtime.Unknown"),
          std::pair("", "Runtime.Unknown")}) {
        invoked it;
        it.runtime.fail(it.id, raw_runtime::error_json,
                        std::string(raw_runtime::json_type) +
                            "Lambda-Runtime-Function-Error-Type: " + sent + "\r\n");
        CHECK(block_on(it.call.reply()).error_type == known);
    }
}

TEST_CASE("an error of the start that comes too late is refused")
{
    invoked it;
    CHECK(it.runtime
              .call("POST", std::string(runtime_path) + "init/error", raw_runtime::json_type,
                    raw_runtime::error_json)
              .status == 403);
    CHECK(kinds(it.service) == violations{wrong::wrong_state});
}

TEST_CASE("paths and methods that there are not are found")
{
    lambda_service service;
    raw_runtime runtime(service);
    CHECK(runtime.call("GET", "/").status == 404);
    CHECK(runtime.call("GET", std::string(runtime_path) + "invocation/x/response").status == 405);
    CHECK(runtime.call("GET", std::string(runtime_path) + "restore/next").status == 404);
    CHECK(kinds(service) ==
          violations{wrong::unknown_route, wrong::unknown_route, wrong::unknown_route});
}

TEST_CASE("what is not HTTP ends the connection")
{
    lambda_service service;
    raw_runtime runtime(service);
    runtime.send("HELO service\r\n\r\n");
    CHECK(runtime.end() == asio::error::eof);
    CHECK(kinds(service) == violations{wrong::bad_request});
}

TEST_CASE("what an extension does against its API is found")
{
    lambda_service service;
    raw_runtime extension(service);
    CHECK(extension.call("GET", std::string(extension_path) + "event/next").status == 403);
    CHECK(extension.call("POST", std::string(extension_path) + "register", "", "{}").status == 403);
    CHECK(kinds(service) == violations{wrong::extension, wrong::extension});
}

} // namespace

} // namespace service_violations_tests
