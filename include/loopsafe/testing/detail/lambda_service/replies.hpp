// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_REPLIES_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_REPLIES_HPP

#include <loopsafe/testing/detail/lambda_service/checks.hpp>
#include <loopsafe/testing/detail/lambda_service/http_request.hpp>
#include <loopsafe/testing/detail/lambda_service/json_text.hpp>
#include <loopsafe/testing/lambda_reply.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

// What a caller gets, in AWS's words.
namespace loopsafe::testing::detail {

inline constexpr std::size_t most_bytes = 6 * 1024 * 1024 + 100; // of a response, buffered

inline lambda_reply reply_of(lambda_reply::kind how, std::string body = {}, std::string type = {})
{
    lambda_reply reply;
    reply.how = how;
    reply.body = std::move(body);
    reply.error_type = std::move(type);
    return reply;
}

inline lambda_reply error_reply(lambda_reply::kind how, const std::string& type,
                                const std::string& message)
{
    return reply_of(how,
                    "{\"errorType\":" + json_quoted(type) +
                        ",\"errorMessage\":" + json_quoted(message) + "}",
                    type);
}

inline lambda_reply responded(const http_request& request)
{
    auto reply = reply_of(lambda_reply::kind::response, request.body);
    reply.streamed = !request.field_text(mode_field).empty();
    reply.content_type = request.field_text("Content-Type");
    reply.trailers = request.trailers;
    if (const auto* const type = find_field(request.trailers, error_type_field)) {
        reply.how = lambda_reply::kind::error;
        reply.error_type = *type;
    }
    return reply;
}

inline lambda_reply reported(const http_request& request, lambda_reply::kind how)
{
    auto reply =
        reply_of(how, request.body, known_error_type(request.field_text(error_type_field)));
    reply.content_type = request.field_text("Content-Type");
    reply.xray_cause = request.field_text(xray_field);
    return reply;
}

inline lambda_reply too_large()
{
    return error_reply(lambda_reply::kind::error, "Function.ResponseSizeTooLarge",
                       "Response payload size exceeded maximum allowed payload size (" +
                           std::to_string(most_bytes) + " bytes).");
}

inline lambda_reply timed_out(std::chrono::milliseconds after)
{
    auto hundredths = std::to_string(after.count() % 1000 / 10);
    hundredths.insert(0, 2 - hundredths.size(), '0');
    return reply_of(lambda_reply::kind::timed_out,
                    "Task timed out after " + std::to_string(after.count() / 1000) + "." +
                        hundredths + " seconds",
                    "Sandbox.Timedout");
}

inline lambda_reply exited(lambda_reply::kind how, const std::string& id, const std::string& why)
{
    return error_reply(how, "Runtime.ExitError",
                       (id.empty() ? "" : "RequestId: " + id + " ") +
                           "Error: Runtime exited with error: " + why);
}

} // namespace loopsafe::testing::detail

#endif
