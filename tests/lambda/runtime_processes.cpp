// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: the process under test has one thread.
// The runtime as a process of its own, which is frozen, ended and started as Lambda does it.

#include <chrono>
#include <csignal>
#include <lambda/served.hpp>
#include <string>
#include <vector>

namespace runtime_processes_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;
using testing::function_exit;
using testing::function_options;

function_options program(std::string how)
{
    return {.program = LOOPSAFE_TESTS_LAMBDA_FUNCTION, .arguments = {std::move(how)}};
}

const std::vector<std::string> hows{"kept", "fresh", "stream"};

TEST_CASE("SIGTERM ends a function that waits, and it says that all is well")
{
    for (const auto& how : hows) {
        CAPTURE(how);
        lambda_service service;
        const auto function = service.start(program(how));
        CHECK(block_on(service.invoke("1", {.timeout = 60s})).body == "1");
        block_on(service.ready());
        const auto ended = block_on(service.terminate(function.pid(), 20s));
        CHECK(ended.asked);
        CHECK(!ended.killed);
        CHECK(block_on(function.exit()) == function_exit{.code = 0});
        CHECK(service.violations().empty());
        CHECK(function.output().empty());
    }
}

TEST_CASE("SIGTERM cancels a handler that is at work")
{
    for (const std::string how : {"kept", "fresh"}) {
        CAPTURE(how);
        lambda_service service;
        const auto function = service.start(program(how));
        CHECK(block_on(service.invoke("1", {.timeout = 60s})).ok());
        auto under_way = service.begin(R"("hang")", {.timeout = 60s});
        CHECK(block_on(function.says("hanging")));
        block_on(service.terminate(function.pid(), 20s));
        CHECK(block_on(function.exit()) == function_exit{.code = 0});
    }
}

TEST_CASE("a function that was frozen goes on with the next event")
{
    for (const auto& how : hows) {
        CAPTURE(how);
        lambda_service service({.invocation_ids = true});
        const auto function = service.start(program(how));
        for (int i = 0; i < 5; ++i) {
            const auto event = std::to_string(i);
            CHECK(block_on(service.invoke(event, {.timeout = 60s})).body == event);
            CHECK(block_on(service.freeze(function.pid())));
        }
        CHECK(service.violations().empty());
    }
}

TEST_CASE("a start that fails is reported, and the process ends with 1")
{
    lambda_service service;
    const auto function = service.start(program("bad_start"));
    const auto reply = block_on(service.invoke("1", {.timeout = 60s}));
    CHECK(reply.how == lambda_reply::kind::failed_init);
    CHECK(reply.body.find("no database") != std::string::npos);
    CHECK(block_on(function.exit()) == function_exit{.code = 1});
    CHECK(function.output().find("no database") != std::string::npos);
}

TEST_CASE("a handler that ends its process has crashed")
{
    lambda_service service;
    const auto function = service.start(program("kept"));
    CHECK(block_on(service.invoke(R"("exit")", {.timeout = 60s})).how ==
          lambda_reply::kind::crashed);
    CHECK(block_on(function.exit()) == function_exit{.code = 3});
}

TEST_CASE("where there is no Extensions API, the runtime says once what that means, and serves")
{
    lambda_service service;
    service.fault(at::extension_register, 1, fault::status(404));
    const auto function = service.start(program("kept"));
    CHECK(block_on(service.invoke("1", {.timeout = 60s})).body == "1");
    CHECK(function.output().find("without SIGTERM") != std::string::npos);
}

} // namespace

} // namespace runtime_processes_tests
