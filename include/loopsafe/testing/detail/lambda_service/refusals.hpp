// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_REFUSALS_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_REFUSALS_HPP

#include <loopsafe/testing/detail/lambda_service/http_answer.hpp>
#include <loopsafe/testing/detail/lambda_service/runtime_state.hpp>

#include <cstddef>
#include <string>
#include <string_view>

// What a runtime is refused, in AWS's words.
namespace loopsafe::testing::detail {

inline http_answer refuse_late()
{
    return refusal(410, "InvokeTimeout", "Invoke timeout");
}

inline http_answer refuse_id()
{
    return refusal(400, "InvalidRequestID", "Invalid request ID");
}

inline http_answer refuse_mode()
{
    return refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode");
}

inline http_answer refuse_size(std::size_t most)
{
    return refusal(413, "RequestEntityTooLarge",
                   "Exceeded maximum allowed payload size (" + std::to_string(most) + " bytes).");
}

inline http_answer refuse_concurrency()
{
    return refusal(500, "InternalServerError", "Internal Server Error");
}

inline http_answer refuse_transition(runtime_state from, std::string_view to)
{
    return refusal(403, "InvalidStateTransition",
                   "State transition from " + std::string(to_string(from)) + " to " +
                       std::string(to) +
                       " failed for runtime. Error: State transition is not allowed");
}

} // namespace loopsafe::testing::detail

#endif
