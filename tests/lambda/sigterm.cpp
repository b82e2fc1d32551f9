// SPDX-License-Identifier: BSL-1.0
// SIGTERM where no context is run.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <csignal>
#include <lambda/served.hpp>
#include <string>
#include <thread>

namespace sigterm_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;

// Left behind on the context of its invocation, it ends the process when that dies.
asio::awaitable<void> terminate_at_the_end()
{
    struct at_the_end {
        ~at_the_end() { std::raise(SIGTERM); }
    };
    const at_the_end of_the_context;
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<std::string> answer(lambda::invocation& in)
{
    const auto executor = co_await asio::this_coro::executor;
    if (in.event() == "last")
        asio::co_spawn(executor, terminate_at_the_end(), asio::detached);
    co_return std::string(in.event());
}

TEST_CASE("SIGTERM between two contexts of invocations ends the runtime as any does")
{
    lambda_service service;
    log_lines log;
    lambda::basic_runtime<lambda::context_per_invocation> runtime(
        {.endpoint = service.endpoint(), .log = log.writer()});
    int code = -1;
    {
        const std::jthread thread([&] { code = runtime.serve(answer); });
        CHECK(block_on(service.invoke("first", {.timeout = 60s})).body == "first");
        CHECK(block_on(service.invoke("last", {.timeout = 60s})).body == "last");
    }
    CHECK(code == 0);
    CHECK(log.all().empty());
    CHECK(service.violations().empty());
}

} // namespace

} // namespace sigterm_tests
