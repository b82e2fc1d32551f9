// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_HPP
#define LOOPSAFE_LAMBDA_HPP

/// A runtime for AWS Lambda, whose context lives as long as its policy says.
///
///     asio::awaitable<std::string> handler(lambda::invocation& in)
///     {
///         co_return "{\"bytes\": " + std::to_string(in.event().size()) + "}";
///     }
///
///     int main() { return lambda::serve(handler); }
///
/// Events and answers as types: <loopsafe/lambda/json.hpp>, <loopsafe/lambda/sqs.hpp>.
#include <loopsafe/lambda/runtime.hpp>

#endif
