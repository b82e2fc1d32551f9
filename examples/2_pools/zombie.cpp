// SPDX-License-Identifier: BSL-1.0
//
// The zombie story: a worker keeps its database pool, and each invocation runs a fresh context.
//
// Five warm starts for each pool policy, against a real PostgreSQL server. Each start runs six
// queries, two at once. Connects are counted twice: by the pool, and by the server in its log.
//
//   zombie [--json]     LOOPSAFE_POSTGRES: conninfo, LOOPSAFE_POSTGRES_LOG: the server's log

#include <loopsafe.hpp>
#include <loopsafe/postgres.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using loopsafe::postgres::connector;

// The worker: what a start does is the same for every policy.

using loopsafe::lease;
using loopsafe::postgres::result;

template <class Policy>
asio::awaitable<result> ask(lease<connector, Policy>& lease)
{
    return lease->query("select $1::int + 1", 41);
}

template <class Policy>
asio::awaitable<result> ask(lease<connector, Policy, loopsafe::thread_offload>& lease)
{
    return lease.run([](auto& conn) { return conn.wait(conn->query("select $1::int + 1", 41)); });
}

template <class Pool>
asio::awaitable<void> three_queries(Pool& pool, int& answered)
{
    for (int i = 0; i < 3; ++i) {
        auto lease = co_await pool.acquire();
        const auto rows = co_await ask(lease);
        answered += rows[0][0].template as<int>() == 42 ? 1 : 0;
    }
}

template <class Pool>
asio::awaitable<void> six_queries(Pool& pool, int& answered)
{
    try {
        co_await (three_queries(pool, answered) && three_queries(pool, answered));
    } catch (const asio::multiple_exceptions& both) {
        std::rethrow_exception(both.first_exception());
    }
}

// What was seen of a start.

struct seen {
    std::string outcome = "ok";
    int answered = 0;
    double ms = 0;
};

template <class Start>
seen observe(Start start, std::string& refusal)
{
    seen s;
    const auto begin = std::chrono::steady_clock::now();
    try {
        start(s.answered);
    } catch (const loopsafe::context_error& error) {
        s.outcome = "refused";
        refusal = error.what();
    }
    s.ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    return s;
}

const char* required(const char* variable)
{
    if (const char* value = std::getenv(variable))
        return value;
    std::fprintf(stderr, "%s is not set: start this through examples/run\n", variable);
    std::exit(2);
}

// Connections that the server let in under this application name.
std::size_t connects_in_log(const std::string& application)
{
    std::ifstream log(required("LOOPSAFE_POSTGRES_LOG"));
    std::size_t found = 0;
    for (std::string line; std::getline(log, line);)
        found += line.find("connection authorized") != std::string::npos &&
                 line.find("application_name=" + application) != std::string::npos;
    return found;
}

bool json = false;
bool as_promised = true;
bool counted_alike = true;
std::string refusal_text;

connector connector_for(const std::string& application)
{
    return connector(std::string(required("LOOPSAFE_POSTGRES")) +
                     " application_name=" + application);
}

template <class Start, class Stats>
void five_starts(const char* policy, const std::string& application, std::size_t most_connects,
                 bool only_the_first_connects, bool refuses, Start start, Stats stats)
{
    for (int n = 1; n <= 5; ++n) {
        const auto server_before = connects_in_log(application);
        const auto pool_before = n == 1 ? 0 : stats().connects;
        const auto s = observe(start, refusal_text);
        const auto connects = connects_in_log(application) - server_before;
        const bool refused = s.outcome == "refused";
        counted_alike = counted_alike && connects == stats().connects - pool_before;
        as_promised = as_promised &&
                      connects <= (only_the_first_connects && n > 1 ? 0 : most_connects) &&
                      refused == (refuses && n > 1) && s.answered == (refused ? 0 : 6);
        if (json)
            std::printf("{\"policy\":\"%s\",\"start\":%d,\"outcome\":\"%s\",\"connects\":%zu,"
                        "\"queries\":%d,\"ms\":%.2f}\n",
                        policy, n, s.outcome.c_str(), connects, s.answered, s.ms);
        else
            std::printf("%-34s %5d   %-8s %8zu %8d %8.2f\n", n == 1 ? policy : "", n,
                        s.outcome.c_str(), connects, s.answered, s.ms);
    }
}

int main(int argc, char** argv)
{
    json = argc > 1 && std::strcmp(argv[1], "--json") == 0;
    if (!json)
        std::printf("%-34s %5s   %-8s %8s %8s %8s\n", "policy", "start", "outcome", "connects",
                    "queries", "ms");

    // Built in the first start and kept: right on a long-lived context, a zombie on the next one.
    static std::optional<loopsafe::connection_pool<connector>> kept;
    five_starts(
        "keep_alive_pool, fresh contexts", "zombie_fresh", 2, true, true,
        [](int& answered) {
            loopsafe::run([&]() -> asio::awaitable<void> {
                if (!kept)
                    kept.emplace(co_await asio::this_coro::executor, connector_for("zombie_fresh"));
                co_await six_queries(*kept, answered);
            });
        },
        [] { return kept->stats(); });

    // The same pool on one context for all starts.
    loopsafe::runner runner;
    loopsafe::connection_pool<connector> warm{runner.get_executor(),
                                              connector_for("zombie_runner")};
    five_starts(
        "keep_alive_pool, kept runner", "zombie_runner", 2, true, false,
        [&](int& answered) { runner.run([&] { return six_queries(warm, answered); }); },
        [&] { return warm.stats(); });

    // These may sit at namespace scope, and serve any context.
    static loopsafe::connection_pool<connector, loopsafe::null_pool> null{
        connector_for("zombie_null")};
    five_starts(
        "null_pool, fresh contexts", "zombie_null", 6, false, false,
        [](int& answered) { loopsafe::run([&] { return six_queries(null, answered); }); },
        [] { return null.stats(); });

    static loopsafe::connection_pool<connector, loopsafe::per_context_pool> shelves{
        connector_for("zombie_shelves")};
    five_starts(
        "per_context_pool, fresh contexts", "zombie_shelves", 2, false, false,
        [](int& answered) { loopsafe::run([&] { return six_queries(shelves, answered); }); },
        [] { return shelves.stats(); });

    static loopsafe::connection_pool<connector, loopsafe::carry_over_pool> carried{
        connector_for("zombie_carried")};
    five_starts(
        "carry_over_pool, fresh contexts", "zombie_carried", 2, true, false,
        [](int& answered) { loopsafe::run([&] { return six_queries(carried, answered); }); },
        [] { return carried.stats(); });

    // And so do these, whose connections belong to worker threads instead of a context.
    using loopsafe::thread_offload;
    static loopsafe::connection_pool<connector, loopsafe::keep_alive_pool, thread_offload> workers{
        connector_for("zombie_workers")};
    five_starts(
        "keep_alive_pool, thread_offload", "zombie_workers", 2, true, false,
        [](int& answered) { loopsafe::run([&] { return six_queries(workers, answered); }); },
        [] { return workers.stats(); });

    static loopsafe::connection_pool<connector, loopsafe::null_pool, thread_offload> fleeting{
        connector_for("zombie_fleeting")};
    five_starts(
        "null_pool, thread_offload", "zombie_fleeting", 6, false, false,
        [](int& answered) { loopsafe::run([&] { return six_queries(fleeting, answered); }); },
        [] { return fleeting.stats(); });

    if (!json)
        std::printf("\nConnects are those in the server's log; the pools counted %s.\n"
                    "\nThe error of the refused starts:\n\n%s\n",
                    counted_alike ? "the same" : "DIFFERENTLY", refusal_text.c_str());
    if (!as_promised || !counted_alike)
        std::fprintf(stderr, "zombie: the counts are not what the policies promise\n");
    return as_promised && counted_alike ? 0 : 1;
}
