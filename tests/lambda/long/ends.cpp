// SPDX-License-Identifier: BSL-1.0
// SIGTERM at a hundred moments, with connections open: each is closed as its protocol has it.
#include <loopsafe/testing/lambda_service.hpp>

#include <algorithm>
#include <chrono>
#include <lambda/long/long.hpp>
#include <lambda/long/servers.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace lambda_long {

namespace {

using namespace loopsafe::testing;
using namespace std::chrono_literals;

constexpr int times = 100;

void end_with(const std::string& policy, const programs& what, tally& all)
{
    servers behind("end_" + policy);
    std::mt19937 random(7);
    int clean = 0;
    int at_work = 0;
    std::chrono::nanoseconds longest{};
    for (int i = 0; i < times; ++i) {
        lambda_service service;
        const auto function = service.start(
            {.program = what.backends, .environment = behind.environment(), .handler = policy});
        const auto first = block_on(service.invoke("{}", {.timeout = 60s}));
        const auto broken = behind.web_broken();
        const auto abandoned = behind.sessions_abandoned();
        std::vector<lambda_invocation> more;
        for (int k = 0; k < 40; ++k)
            more.push_back(service.begin("{}", {.timeout = 60s}));
        // The moment is that of one of its requests: when it gets an event, or has answered one.
        const auto moment = 2 + random() % (2 * more.size());
        while (service.requests(at::next) + service.requests(at::response) < moment)
            std::this_thread::yield();
        at_work += service.requests(at::next) > service.requests(at::response);
        const auto ended = block_on(service.terminate(function.pid(), 10s));
        const auto exit = block_on(function.exit());
        behind.await_idle();
        const bool well = first.ok() && ended.asked && !ended.killed && ended.took < 500ms &&
                          exit == function_exit{.code = 0} && behind.web_broken() == broken &&
                          behind.sessions_abandoned() == abandoned;
        clean += well;
        longest = std::max(longest, ended.took);
        if (!well)
            std::printf("  %d: exit %d, signal %d, %.0f ms, %d broken, %ld abandoned\n%s", i,
                        exit.code, exit.signal, static_cast<double>(ended.took.count()) / 1e6,
                        behind.web_broken() - broken, behind.sessions_abandoned() - abandoned,
                        function.output().c_str());
    }
    all.check(clean == times,
              policy + ": " + std::to_string(clean) + " of " + std::to_string(times) +
                  " ends clean, the longest took " +
                  std::to_string(std::chrono::round<std::chrono::milliseconds>(longest).count()) +
                  " ms; " + std::to_string(at_work) + " in mid-invocation");
}

} // namespace

void ends(const programs& what, tally& all)
{
    end_with("keep_alive", what, all);
    end_with("carry_over", what, all);
}

} // namespace lambda_long
