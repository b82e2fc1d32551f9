// SPDX-License-Identifier: BSL-1.0
// 64 callers at once: every answer has its own id, trace and tenant.
#include <loopsafe/testing/lambda_service.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <exception>
#include <lambda/long/long.hpp>
#include <memory>
#include <string>
#include <vector>

namespace lambda_long {

namespace {

using namespace loopsafe::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr int callers = 64;

struct counts {
    long own = 0;
    long crossed = 0;
    double per_second = 0;
};

asio::awaitable<void> call(lambda_service& service, int caller, int times, counts& all)
{
    for (int i = 0; i < times; ++i) {
        const std::string mine = std::to_string(caller) + '-' + std::to_string(i);
        const std::string id = "id-" + mine;
        const std::string trace = "Root=" + mine;
        const std::string tenant = "tenant-" + mine;
        invoke_options how;
        how.timeout = 60s;
        how.tenant = tenant;
        how.trace = trace;
        how.id = id;
        const auto reply = co_await service.invoke("\"who\"", how);
        ++(reply.body == id + ' ' + trace + ' ' + tenant ? all.own : all.crossed);
    }
}

// Caller i talks to the service i, or to the last one.
counts run(std::deque<lambda_service>& services, int times)
{
    counts all;
    asio::io_context context(1);
    for (int i = 0; i < callers; ++i) {
        auto& service = services[std::min(static_cast<std::size_t>(i), services.size() - 1)];
        asio::co_spawn(context, call(service, i, times, all), [](const std::exception_ptr& error) {
            if (error != nullptr)
                std::rethrow_exception(error);
        });
    }
    const auto begin = std::chrono::steady_clock::now();
    context.run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    all.per_second = static_cast<double>(all.own + all.crossed) / took.count();
    return all;
}

void report(const std::string& what, const counts& seen, int times,
            const std::deque<lambda_service>& services, tally& all)
{
    std::size_t violations = 0;
    for (const auto& each : services)
        violations += each.violations().size();
    all.check(seen.own == long{callers} * times && seen.crossed == 0,
              what + ": " + std::to_string(seen.own) + " with their own id, trace and tenant, " +
                  std::to_string(seen.crossed) + " crossed; " +
                  std::to_string(static_cast<long>(seen.per_second)) + " per second");
    all.check(violations == 0, what + ": " + std::to_string(violations) + " violations");
}

void one_process(const programs& what, const std::string& handler, const std::string& name,
                 int times, tally& all)
{
    std::deque<lambda_service> services;
    services.emplace_back(lambda_service_options{.concurrency = callers, .invocation_ids = true});
    const auto function = services[0].start({.program = what.function, .handler = handler});
    block_on(services[0].ready());
    report(name, run(services, times), times, services, all);
}

void many_processes(const programs& what, int times, tally& all)
{
    std::deque<lambda_service> services;
    std::vector<function_process> functions;
    for (int i = 0; i < callers; ++i) {
        services.emplace_back(lambda_service_options{.invocation_ids = true});
        functions.push_back(services.back().start({.program = what.function, .handler = "kept"}));
    }
    for (auto& each : services)
        block_on(each.ready());
    report("64 processes of one", run(services, times), times, services, all);
}

} // namespace

void at_once(const programs& what, tally& all)
{
    const char* const wanted = std::getenv("LOOPSAFE_LAMBDA_TIMES");
    const int times = wanted != nullptr ? std::atoi(wanted) : 10'000;
    one_process(what, "one_context", "64 at once on one context", times, all);
    one_process(what, "concurrent", "64 at once on two threads", times, all);
    many_processes(what, times / 10, all);
}

} // namespace lambda_long
