// SPDX-License-Identifier: BSL-1.0
// 1,000 invocations, each tenth after a freeze that is longer than its servers wait for it.
#include <loopsafe/testing/lambda_service.hpp>

#include <chrono>
#include <lambda/long/long.hpp>
#include <lambda/long/servers.hpp>
#include <string>

namespace lambda_long {

namespace {

using namespace loopsafe::testing;
using namespace std::chrono_literals;

constexpr int invocations = 1000;
constexpr int in_a_row = 10;
constexpr int freezes_of_each = invocations / in_a_row - 1;

void freeze_with(const std::string& policy, bool keeps, const programs& what, tally& all)
{
    servers behind("freeze_" + policy);
    lambda_service service({.invocation_ids = true});
    const auto function = service.start(
        {.program = what.backends, .environment = behind.environment(), .handler = policy});
    int failed = 0;
    int sessions = 0;
    std::string last;
    for (int i = 0; i < invocations; ++i) {
        if (i != 0 && i % in_a_row == 0) {
            if (!block_on(service.freeze(function.pid())))
                break;
            behind.await_idle();
        }
        const auto reply = block_on(service.invoke("{}", {.timeout = 60s}));
        failed += !reply.ok();
        if (!reply.ok())
            std::printf("  %s\n", reply.body.c_str());
        sessions += reply.body != last;
        last = reply.body;
    }
    const auto name = policy + ": ";
    all.check(failed == 0, name + std::to_string(failed) + " of " + std::to_string(invocations) +
                               " failed, " + std::to_string(freezes_of_each) + " freezes");
    // On a machine that is busy, a server may find idle what is not.
    const int least = keeps ? freezes_of_each + 1 : invocations;
    const auto as_few = [&](int seen) { return seen >= least && seen <= least + least / 10; };
    all.check(as_few(sessions), name + std::to_string(sessions) + " connects to PostgreSQL");
    all.check(as_few(behind.web_connects()),
              name + std::to_string(behind.web_connects()) + " connects to the HTTPS server");
    // The extension's, and the runtime's.
    all.check(service.connections() == 2,
              name + std::to_string(service.connections()) + " connects to the Runtime API");
    all.check(service.violations().empty(),
              name + std::to_string(service.violations().size()) + " violations");
}

} // namespace

void freezes(const programs& what, tally& all)
{
    freeze_with("keep_alive", true, what, all);
    freeze_with("carry_over", true, what, all);
    freeze_with("per_context", false, what, all);
    freeze_with("null", false, what, all);
}

} // namespace lambda_long
