// SPDX-License-Identifier: BSL-1.0
// go PROGRAM: AWS's Go client serves the test kit's service, which has nothing to object to.
#include <loopsafe/testing/lambda_service.hpp>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace loopsafe::testing;
using how = lambda_reply::kind;

int passed = 0;
int failed = 0;

void check(bool good, const std::string& what)
{
    ++(good ? passed : failed);
    std::printf("%s %s\n", good ? "     " : "WRONG", what.c_str());
}

void check_violations(const lambda_service& service, const std::string& where)
{
    const auto all = service.violations();
    check(all.empty(), where + ": " + std::to_string(all.size()) + " violations");
    for (const auto& each : all)
        std::printf("  %.*s: %s\n", static_cast<int>(to_string(each.what).size()),
                    to_string(each.what).data(), each.text.c_str());
}

std::string ask(std::string_view what, std::string_view text = "")
{
    return "{\"do\":\"" + std::string(what) + "\",\"text\":\"" + std::string(text) + "\"}";
}

void one_at_a_time(const std::string& program)
{
    lambda_service service;
    auto function = service.start({.program = program});
    const auto invoke = [&](std::string_view event, const invoke_options& options = {}) {
        return block_on(service.invoke(event, options));
    };
    int echoed = 0;
    for (int i = 0; i < 100; ++i)
        echoed += invoke(ask("echo", std::to_string(i))).body == "\"" + std::to_string(i) + "\"";
    check(echoed == 100, "100 echoes: " + std::to_string(echoed));
    const auto who = invoke(ask("who"), {.tenant = "blue"});
    check(who.body == "\"" + who.id + " blue\"", "id and tenant: " + who.body);
    check(invoke(ask("time")).body == "true", "the deadline");
    const auto error = invoke(ask("error", "no"));
    check(error.how == how::error &&
              error.body == R"({"errorMessage":"no","errorType":"errorString"})",
          "an error: " + error.body);
    const auto stream = invoke(ask("stream"));
    check(stream.how == how::response && stream.body == "one two", "a reader: " + stream.body);
    const auto broken = invoke(ask("broken", "half"));
    check(broken.how == how::error && broken.body == "half" && broken.error_type == "errorString",
          "a reader that fails: " + broken.body + ", " + broken.error_type);
    const auto panic = invoke(ask("panic", "help"));
    check(panic.how == how::error && panic.body.find("help") != std::string::npos, "a panic");
    check(block_on(function.exit()) == function_exit{1, 0}, "its process ends with 1");
    auto another = service.start({.program = program});
    check(invoke(ask("echo", "x")).body == "\"x\"", "another process goes on");
    check_violations(service, "one at a time");
}

void many_at_once(const std::string& program)
{
    lambda_service service({.concurrency = 8});
    auto function = service.start({.program = program});
    std::vector<lambda_invocation> all;
    for (int i = 0; i < 400; ++i)
        all.push_back(service.begin(ask("who"), {.tenant = std::to_string(i)}));
    int own = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto reply = block_on(all[i].reply());
        own += reply.body == "\"" + reply.id + " " + std::to_string(i) + "\"";
    }
    check(own == 400,
          "400 invocations, 8 at once, with their own id and tenant: " + std::to_string(own));
    check_violations(service, "8 at once");
}

} // namespace

int main(int argc, char** argv)
{
    if (argc != 2)
        return 2;
    one_at_a_time(argv[1]);
    many_at_once(argv[1]);
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
