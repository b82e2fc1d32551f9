// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_EVENT_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_EVENT_HPP

#include <loopsafe/testing/detail/lambda_service/call.hpp>
#include <loopsafe/testing/detail/lambda_service/checks.hpp>
#include <loopsafe/testing/detail/lambda_service/http_answer.hpp>

#include <chrono>
#include <string>
#include <string_view>

// An invocation, as a runtime and as an extension get it.
namespace loopsafe::testing::detail {

inline std::string milliseconds_of(std::chrono::nanoseconds time)
{
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

// `id` is the one that it has, but for faults. Headers without a value are left out.
inline http_answer event_of(const invocation_call& call, const std::string& id,
                            const std::string& arn)
{
    const auto& options = call.options;
    http_answer event{200, {}, call.event};
    const auto add = [&](std::string_view name, const std::string& value) {
        if (!value.empty())
            event.fields.emplace_back(name, value);
    };
    add("Content-Type", options.content_type);
    add("Lambda-Runtime-Aws-Request-Id", id);
    if (options.deadline != "none")
        add("Lambda-Runtime-Deadline-Ms",
            options.deadline.empty() ? milliseconds_of(call.due.wall) : options.deadline);
    add("Lambda-Runtime-Invoked-Function-Arn", options.arn.empty() ? arn : options.arn);
    add("Lambda-Runtime-Trace-Id", options.trace);
    add("Lambda-Runtime-Client-Context", options.client_context);
    add("Lambda-Runtime-Cognito-Identity", options.cognito_identity);
    add("Lambda-Runtime-Aws-Tenant-Id", options.tenant);
    add(nonce_field, call.nonce);
    return event;
}

// What follows the name of the event.
inline std::string news_of(const invocation_call& call, const std::string& arn)
{
    const auto& options = call.options;
    auto news = ",\"deadlineMs\":" + milliseconds_of(call.due.wall) +
                ",\"requestId\":" + json_quoted(call.id) +
                ",\"invokedFunctionArn\":" + json_quoted(options.arn.empty() ? arn : options.arn);
    if (!options.trace.empty())
        news +=
            ",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":" + json_quoted(options.trace) +
            "}";
    return news;
}

inline std::string news_of_end(std::string_view reason, std::chrono::nanoseconds deadline)
{
    return ",\"shutdownReason\":" + json_quoted(reason) +
           ",\"deadlineMs\":" + milliseconds_of(deadline);
}

} // namespace loopsafe::testing::detail

#endif
