// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: the threads are those of service.cpp and runtime.cpp.
// What the runtime does when the Runtime API goes wrong: an answer in the end, or an exit code.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <lambda/served.hpp>
#include <string>
#include <utility>
#include <vector>

namespace runtime_faults_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;

asio::awaitable<std::string> echo(lambda::invocation& in)
{
    if (in.event() == "throw")
        throw std::runtime_error("boom");
    co_return std::string(in.event());
}

lambda::runtime_options impatient()
{
    return {.api_timeout = 100ms};
}

struct named_fault {
    const char* name;
    fault what;
};

// Everything that may happen to an answer of the service.
std::vector<named_fault> all_faults()
{
    return {{"refuse", fault::refuse},
            {"reset_after_headers", fault::reset_after_headers},
            {"truncated_body", fault::truncated_body},
            {"stall_after_headers", fault::stall_after_headers},
            {"short_length", fault::short_length},
            {"long_length", fault::long_length},
            {"no_id", fault::no_id},
            {"repeated_id", fault::repeated_id},
            {"large_header", fault::large_header},
            {"lower_case", fault::lower_case},
            {"upper_case", fault::upper_case},
            {"not_json", fault::not_json},
            {"reset_at 0", fault::reset_at(0)},
            {"reset_at 1", fault::reset_at(1)},
            {"reset_at 20", fault::reset_at(20)},
            {"stall_at 20", fault::stall_at(20)},
            {"status 500", fault::status(500)},
            {"status 503", fault::status(503)},
            {"status 204", fault::status(204)}};
}

template <class Policy>
void serve_through(at where, const named_fault& f)
{
    CAPTURE(f.name);
    lambda_service service({.invocation_ids = true});
    service.fault(where, 1, f.what);
    served<Policy> function(service, echo, impatient());
    // Its own answer may be lost; what comes then is served.
    auto hit = service.begin(where == at::error ? "throw" : "hit", {.timeout = 60s});
    CHECK(block_on(service.invoke("after", {.timeout = 60s})).body == "after");
    (void)block_on(hit.reply());
    CHECK(function.stop() == 0);
}

TEST_CASE("whatever happens to the answer of /next, the next event is served")
{
    for (const auto& f : all_faults())
        serve_through<lambda::context_kept>(at::next, f);
}

TEST_CASE("whatever happens to the answer of /response, the next event is served")
{
    for (const auto& f : all_faults())
        serve_through<lambda::context_kept>(at::response, f);
    for (const auto status : {400u, 403u, 410u, 413u, 418u})
        serve_through<lambda::context_per_invocation>(at::response,
                                                      {"status", fault::status(status)});
}

TEST_CASE("whatever happens to the answer of /error, the next event is served")
{
    for (const auto& f : all_faults())
        serve_through<lambda::context_per_invocation>(at::error, f);
}

TEST_CASE("with contexts per invocation, what happens to /next is the same")
{
    for (const auto& f : all_faults())
        serve_through<lambda::context_per_invocation>(at::next, f);
}

TEST_CASE("a /next that stalls is waited for: the process may be frozen")
{
    lambda_service service;
    service.fault(at::next, 1, fault::stall);
    served<lambda::context_kept> function(service, echo, impatient());
    auto hit = service.begin("hit", {.timeout = 500ms});
    CHECK(!block_on(hit.reply()).ok());
    CHECK(function.stop() == 0);
}

TEST_CASE("a Runtime API that refuses /next ends the runtime at once, and one that is gone after "
          "five tries")
{
    {
        lambda_service service;
        service.fault(at::next, 0, fault::status(403));
        served<lambda::context_kept> function(service, echo);
        CHECK(function.end() == 1);
        CHECK(function.log().has("403"));
        CHECK(service.requests(at::next) == 1);
    }
    {
        lambda_service service;
        service.fault(at::next, 0, fault::status(500));
        served<lambda::context_per_invocation> function(service, echo);
        CHECK(function.end() == 1);
        CHECK(service.requests(at::next) == 5);
    }
    {
        lambda_service service;
        service.stop_listening();
        served<lambda::concurrent> function(service, echo);
        CHECK(function.end() == 1);
    }
}

TEST_CASE("a service that listens again is found again")
{
    lambda_service service;
    service.fault(at::next, 1, fault::refuse);
    service.stop_listening();
    served<lambda::context_kept> function(service, echo);
    service.listen_again();
    CHECK(block_on(service.invoke("on", {.timeout = 60s})).body == "on");
    CHECK(function.stop() == 0);
}

TEST_CASE("a lost /response is sent once more, and no more often")
{
    lambda_service service;
    served<lambda::context_kept> function(service, echo, impatient());
    service.fault(at::response, 1, fault::refuse);
    CHECK(block_on(service.invoke("twice", {.timeout = 60s})).body == "twice");
    CHECK(service.requests(at::response) == 2);
    service.fault(at::response, 0, fault::refuse);
    auto lost = service.begin("lost", {.timeout = 60s});
    CHECK(!block_on(lost.reply()).ok());
    service.clear_faults();
    CHECK(block_on(service.invoke("on", {.timeout = 60s})).body == "on");
    CHECK(service.requests(at::response) == 5);
    CHECK(function.stop() == 0);
}

TEST_CASE("an invocation that timed out meanwhile is refused with 410, and the runtime goes on")
{
    lambda_service service;
    const auto handler = [](lambda::invocation& in) -> asio::awaitable<std::string> {
        if (in.event() == "slow") {
            asio::steady_timer timer(co_await asio::this_coro::executor);
            timer.expires_after(in.left() < 1h ? 300ms : 1ms);
            co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        }
        co_return "done";
    };
    // The runtime is told of more time than there is.
    served<lambda::context_kept> function(service, handler);
    const auto reply = block_on(service.invoke("slow", {.timeout = 50ms, .deadline = "600000"}));
    CHECK(reply.how == lambda_reply::kind::timed_out);
    CHECK(block_on(service.invoke("on", {.timeout = 60s})).body == "done");
    CHECK(function.log().has("410"));
    CHECK(function.stop() == 0);
}

TEST_CASE("the Runtime API may have a path before its own")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once(), .prefix = "/.rt/function"});
        served<Policy> function(service, echo);
        CHECK(block_on(service.invoke("on")).body == "on");
        CHECK(function.stop() == 0);
    });
}

} // namespace

} // namespace runtime_faults_tests
