// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_LAMBDA_VIOLATION_HPP
#define LOOPSAFE_TESTING_LAMBDA_VIOLATION_HPP

#include <string>
#include <string_view>

namespace loopsafe::testing {

/// What a runtime did against the protocol of AWS Lambda's Runtime API.
struct lambda_violation {
    enum class kind {
        second_next,          ///< /next while another is pending, or before the event was answered
        abandoned_next,       ///< /next again after one that the runtime gave up
        unknown_id,           ///< an answer to an id that was never given
        answered_id,          ///< an answer to an id that has one
        missing_nonce,        ///< Lambda-Runtime-Invocation-Id was sent, and not echoed
        wrong_nonce,          ///< another one was echoed
        invented_nonce,       ///< none was sent, and one was echoed
        trailers_in_body,     ///< the body has the lines that ought to be trailers
        trailer_without_type, ///< an error body, or no valid one, in trailers without an error type
        bad_trailer,          ///< the error body is not JSON in base64, or a type is malformed
        bad_response_mode,    ///< Lambda-Runtime-Function-Response-Mode says something unknown
        truncated_response,   ///< the connection ended in mid-body
        error_content_type,   ///< an error whose content type is not JSON
        error_body,           ///< an error that is no JSON with errorMessage and errorType
        error_type,           ///< Lambda-Runtime-Function-Error-Type is malformed
        xray_cause,           ///< the cause for X-Ray is not JSON, or 1 MiB and more
        wrong_state,          ///< /init/error or /restore when the state does not allow it
        extension,            ///< what the Extensions API refuses
        unknown_route,        ///< no such path, or not with this method
        bad_request,          ///< not HTTP
    };

    kind what;
    std::string text; ///< a sentence that says what was done
};

constexpr std::string_view to_string(lambda_violation::kind what) noexcept
{
    using kind = lambda_violation::kind;
    switch (what) {
    case kind::second_next: return "second /next";
    case kind::abandoned_next: return "abandoned /next";
    case kind::unknown_id: return "unknown id";
    case kind::answered_id: return "answered id";
    case kind::missing_nonce: return "missing nonce";
    case kind::wrong_nonce: return "wrong nonce";
    case kind::invented_nonce: return "invented nonce";
    case kind::trailers_in_body: return "trailers in the body";
    case kind::trailer_without_type: return "trailer without type";
    case kind::bad_trailer: return "bad trailer";
    case kind::bad_response_mode: return "bad response mode";
    case kind::truncated_response: return "truncated response";
    case kind::error_content_type: return "content type of an error";
    case kind::error_body: return "body of an error";
    case kind::error_type: return "type of an error";
    case kind::xray_cause: return "cause for X-Ray";
    case kind::wrong_state: return "wrong state";
    case kind::extension: return "extension";
    case kind::unknown_route: return "unknown route";
    case kind::bad_request: return "bad request";
    }
    return "unknown";
}

} // namespace loopsafe::testing

#endif
