// SPDX-License-Identifier: BSL-1.0
//
// A test of your own code that uses a pool: no network, no waiting, and a clock that you move.

#include <loopsafe.hpp>
#include <loopsafe/testing/manual_clock.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <cstdio>
#include <cstdlib>

using namespace std::chrono_literals;
namespace testing = loopsafe::testing;
using policy = loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, testing::manual_clock>;
using pool_type = loopsafe::connection_pool<testing::scripted_connector, policy>;

void expect(bool truth, const char* claim)
{
    std::printf("%-5s %s\n", truth ? "ok" : "WRONG", claim);
    if (!truth)
        std::exit(1);
}

int main()
{
    boost::asio::io_context context;
    const auto script = std::make_shared<testing::connect_script>();
    pool_type pool(context, testing::scripted_connector(script),
                   {.max_size = 1, .acquire_timeout = 5s, .idle_timeout = 60s});

    testing::run_on(context, pool.acquire()).release();
    testing::manual_clock::advance(context, 2s);
    testing::run_on(context, pool.acquire()).release();
    expect(script->opened == 1 && script->probes == 1, "after two idle seconds it is probed");

    testing::manual_clock::advance(context, 60s);
    testing::run_on(context, pool.acquire()).release();
    expect(script->opened == 2, "after the idle time-out it is replaced");

    testing::manual_clock::move(0s, 0s, 120s);
    testing::run_on(context, pool.acquire()).release();
    expect(script->opened == 3, "also after a freeze that stopped the monotonic clock");

    auto held = testing::run_on(context, pool.acquire());
    bool timed_out = false;
    pool.async_acquire(
        [&](loopsafe::error_code ec, auto) { timed_out = ec == loopsafe::errc::acquire_timeout; });
    context.restart();
    context.poll();
    expect(!timed_out, "a caller waits while every connection is taken");
    testing::manual_clock::advance(context, 5s);
    context.restart();
    context.run();
    expect(timed_out, "and it gives up at the deadline");
}
