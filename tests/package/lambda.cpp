// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/lambda.hpp>

#include <cstdio>

int main()
{
    // Nothing has started this as a function: it says so, and ends.
    const auto handler = [](loopsafe::lambda::invocation&) -> boost::asio::awaitable<std::string> {
        co_return "{}";
    };
    const bool refused = loopsafe::lambda::serve(handler) == 1;
    std::puts("loopsafe::lambda");
    return refused ? 0 : 1;
}
