// SPDX-License-Identifier: BSL-1.0
//
// A function of AWS Lambda that answers its event.
#include <loopsafe/lambda.hpp>

#include <string>

namespace {

boost::asio::awaitable<std::string> echo(loopsafe::lambda::invocation& in)
{
    co_return std::string(in.event());
}

} // namespace

int main()
{
    return loopsafe::lambda::serve(echo);
}
