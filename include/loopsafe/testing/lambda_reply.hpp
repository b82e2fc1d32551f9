// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_LAMBDA_REPLY_HPP
#define LOOPSAFE_TESTING_LAMBDA_REPLY_HPP

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::testing {

/// Header fields or trailers, in the order in which they came.
using lambda_fields = std::vector<std::pair<std::string, std::string>>;

/// How a function is invoked. The texts are copied when the invocation begins.
struct invoke_options {
    std::chrono::milliseconds timeout{3000}; ///< of the function, from when it gets the event
    std::string_view tenant{};               ///< Lambda-Runtime-Aws-Tenant-Id
    std::string_view client_context{};       ///< as the caller writes it, JSON or not
    std::string_view cognito_identity{};
    std::string_view trace{}; ///< Lambda-Runtime-Trace-Id
    std::string_view content_type = "application/json";
    std::string_view id{};  ///< of the request; empty: a new one
    std::string_view arn{}; ///< empty: that of the service's options
    std::string_view
        deadline{}; ///< Lambda-Runtime-Deadline-Ms; empty: the true one; "none": no header
};

/// What came of an invocation.
struct lambda_reply {
    enum class kind {
        response,    ///< the function answered
        error,       ///< the function, or its runtime, reported an error; also in mid-stream
        timed_out,   ///< neither came in time
        crashed,     ///< the process ended first
        failed_init, ///< the function's start was reported as failed, or its process ended in it
        lost,        ///< a fault kept the service from getting the answer
        gone,        ///< the service was destroyed
    };

    kind how = kind::gone;
    std::string id;
    std::string body;         ///< what the function answered, or reported, or why there is nothing
    std::string content_type; ///< of the body
    std::string error_type;   ///< "Function.RuntimeError", "Sandbox.Timedout"; empty for a response
    std::string xray_cause;   ///< Lambda-Runtime-Function-XRay-Error-Cause
    bool streamed = false;    ///< whether the runtime said that the response is a stream
    std::vector<std::string> chunks; ///< the body as the runtime sent it, chunk by chunk
    lambda_fields trailers;

    bool ok() const noexcept { return how == kind::response; }
};

constexpr std::string_view to_string(lambda_reply::kind how) noexcept
{
    switch (how) {
    case lambda_reply::kind::response: return "response";
    case lambda_reply::kind::error: return "error";
    case lambda_reply::kind::timed_out: return "timed out";
    case lambda_reply::kind::crashed: return "crashed";
    case lambda_reply::kind::failed_init: return "failed init";
    case lambda_reply::kind::lost: return "lost";
    case lambda_reply::kind::gone: return "gone";
    }
    return "unknown";
}

} // namespace loopsafe::testing

#endif
