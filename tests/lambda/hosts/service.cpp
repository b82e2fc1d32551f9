// SPDX-License-Identifier: BSL-1.0
// service PROGRAM HANDLER MILLISECONDS: a front door to the test kit's service. Each line that it
// reads is "tenant<tab>client context<tab>event"; it answers "outcome<tab>type<tab>bytes" and the
// body. A process that has ended, or whose time was up, is followed by another, as on AWS.
#include <loopsafe/testing/lambda_service.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

namespace {

using namespace loopsafe::testing;

std::string up_to(std::string& line, char end)
{
    const auto at = line.find(end);
    auto part = line.substr(0, at);
    line.erase(0, at == line.npos ? at : at + 1);
    return part;
}

} // namespace

int main(int argc, char** argv)
{
    if (argc != 4)
        return 2;
    const std::chrono::milliseconds timeout(std::atoi(argv[3]));
    const function_options program{.program = argv[1], .handler = argv[2]};
    lambda_service service;
    std::optional<function_process> function;
    std::string too_large; // the id of an invocation
    for (std::string line; std::getline(std::cin, line);) {
        const auto tenant = up_to(line, '\t');
        const auto context = up_to(line, '\t');
        if (!function)
            function.emplace(service.start(program));
        const auto reply = block_on(service.invoke(line, {.timeout = timeout,
                                                          .tenant = tenant,
                                                          .client_context = context,
                                                          .trace = "Root=1-0-0;Sampled=0"}));
        const auto how = to_string(reply.how);
        std::printf("%.*s\t%s\t%zu\n", static_cast<int>(how.size()), how.data(),
                    reply.error_type.c_str(), reply.body.size());
        std::fwrite(reply.body.data(), 1, reply.body.size(), stdout);
        std::fflush(stdout);
        if (reply.error_type == "Function.ResponseSizeTooLarge")
            too_large = reply.id;
        using kind = lambda_reply::kind;
        if (reply.how == kind::timed_out || reply.how == kind::crashed ||
            reply.how == kind::failed_init) {
            function->kill();
            block_on(function->exit());
            service.restart();
            function.reset();
        }
    }
    int wrong = 0;
    for (const auto& each : service.violations()) {
        std::fprintf(stderr, "%s\n", each.text.c_str());
        // Of an answer that was too large the runtime says so, which the service has noticed.
        wrong += too_large.empty() || each.what != lambda_violation::kind::answered_id ||
                 each.text.find(too_large) == each.text.npos;
    }
    return wrong == 0 ? 0 : 1;
}
