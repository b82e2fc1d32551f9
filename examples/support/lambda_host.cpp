// SPDX-License-Identifier: BSL-1.0
//
// lambda_host PROGRAM EVENTS: stands in for AWS Lambda. It starts a function, invokes it with each
// line of a file, frozen in between, and ends it. An event behind a "!" is one that must fail.

#include <loopsafe/testing/lambda_service.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace testing = loopsafe::testing;

int main(int argc, char** argv)
{
    if (argc != 3) {
        std::fputs("usage: lambda_host PROGRAM EVENTS\n", stderr);
        return 2;
    }
    testing::function_options function{.program = argv[1]};
    if (const char* conninfo = std::getenv("LOOPSAFE_POSTGRES"))
        function.environment.emplace_back("LOOPSAFE_POSTGRES", conninfo);
    testing::lambda_service service;
    const auto process = service.start(function);

    std::ifstream events(argv[2]);
    int invoked = 0;
    int unexpected = 0;
    for (std::string event; std::getline(events, event); ++invoked) {
        auto expected = testing::lambda_reply::kind::response;
        if (event.starts_with('!')) {
            expected = testing::lambda_reply::kind::error;
            event.erase(0, 1);
        }
        const auto reply =
            testing::block_on(service.invoke(event, {.timeout = std::chrono::seconds(30)}));
        const bool is_short = event.size() < 80;
        std::printf("%s\n    -> %s: %s\n",
                    is_short ? event.c_str() : (event.substr(0, 77) + "...").c_str(),
                    std::string(to_string(reply.how)).c_str(), reply.body.c_str());
        unexpected += reply.how != expected;
        testing::block_on(service.freeze(process.pid()));
    }
    testing::block_on(service.terminate(process.pid(), std::chrono::seconds(5)));
    const auto exit = testing::block_on(process.exit());
    std::printf("what the function printed:\n%s", process.output().c_str());
    for (const auto& each : service.violations())
        std::printf("violation: %s\n", each.text.c_str());
    if (invoked == 0)
        std::fprintf(stderr, "lambda_host: %s has no event\n", argv[2]);
    if (unexpected != 0)
        std::fprintf(stderr, "lambda_host: %d of %d events ended as they should not\n", unexpected,
                     invoked);
    return invoked != 0 && unexpected == 0 && exit.code == 0 && service.violations().empty() ? 0
                                                                                             : 1;
}
