// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_CHECKS_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_CHECKS_HPP

#include <loopsafe/testing/detail/lambda_service/http_request.hpp>
#include <loopsafe/testing/detail/lambda_service/json_text.hpp>
#include <loopsafe/testing/lambda_reply.hpp>
#include <loopsafe/testing/lambda_violation.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What a Runtime API cannot answer with a refusal, and a test wants to know all the same.
namespace loopsafe::testing::detail {

inline constexpr std::string_view error_type_field = "Lambda-Runtime-Function-Error-Type";
inline constexpr std::string_view error_body_field = "Lambda-Runtime-Function-Error-Body";
inline constexpr std::string_view xray_field = "Lambda-Runtime-Function-XRay-Error-Cause";
inline constexpr std::string_view nonce_field = "Lambda-Runtime-Invocation-Id";
inline constexpr std::string_view mode_field = "Lambda-Runtime-Function-Response-Mode";

// "Function.SomeError", "Runtime.SomeError"
inline bool is_error_type(std::string_view type)
{
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    for (const std::string_view kind : {"Runtime.", "Function."}) {
        const auto name = type.starts_with(kind) ? type.substr(kind.size()) : std::string_view();
        if (name.size() > 1 && name.front() >= 'A' && name.front() <= 'Z' &&
            std::all_of(name.begin(), name.end(), letter))
            return true;
    }
    return false;
}

// What the service makes of what the runtime says.
inline std::string known_error_type(std::string_view type)
{
    if (is_error_type(type))
        return std::string(type);
    return type.starts_with("Function.") ? "Function.Unknown" : "Runtime.Unknown";
}

inline std::optional<std::string> from_base64(std::string_view text)
{
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (text.size() % 4 != 0)
        return std::nullopt;
    for (int padding = 0; padding < 2 && text.ends_with('='); ++padding)
        text.remove_suffix(1);
    std::string bytes;
    unsigned held = 0;
    int bits = 0;
    for (const char c : text) {
        const auto digit = digits.find(c);
        if (digit == digits.npos)
            return std::nullopt;
        held = (held << 6 | static_cast<unsigned>(digit)) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>(held >> bits & 0xff);
        }
    }
    return bytes;
}

inline bool has_ignoring_case(std::string_view text, std::string_view what)
{
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::search(text.begin(), text.end(), what.begin(), what.end(),
                       [&](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

class request_checks {
    using kind = lambda_violation::kind;

public:
    explicit request_checks(std::vector<lambda_violation>& found) : found_(found) {}

    void add(kind what, std::string text) { found_.push_back({what, std::move(text)}); }

    // An error as a body of its own, in a request to one of the three routes for errors.
    void error(const http_request& request)
    {
        const auto where = request.method + " " + request.target;
        const auto type = request.field_text("Content-Type");
        const bool is_json_type = type.starts_with("application/json") ||
                                  type.starts_with("application/vnd.aws.lambda.error");
        if (!is_json_type)
            add(kind::error_content_type,
                where + " says Content-Type: " + type + ", not application/json");
        if (!json_member(request.body, "errorMessage") || !json_member(request.body, "errorType"))
            add(kind::error_body, where + ": the body is no JSON with errorMessage and errorType");
        if (const auto* named = find_field(request.fields, error_type_field);
            named != nullptr && !is_error_type(*named))
            add(kind::error_type, where + " says " + std::string(error_type_field) + ": " + *named +
                                      ", which is neither Function.Name nor Runtime.Name");
        if (const auto* cause = find_field(request.fields, xray_field);
            cause != nullptr && (cause->size() >= 1024 * 1024 || !is_json(*cause)))
            add(kind::xray_cause, where + ": the cause for X-Ray is no JSON of less than 1 MiB");
    }

    void response(const http_request& request)
    {
        const auto where = request.method + " " + request.target;
        if (has_ignoring_case(request.body, error_type_field) ||
            has_ignoring_case(request.body, error_body_field))
            add(kind::trailers_in_body, where + ": the body has lines that ought to be trailers");
        const auto* type = find_field(request.trailers, error_type_field);
        const auto* body = find_field(request.trailers, error_body_field);
        if (type == nullptr && body != nullptr)
            add(kind::trailer_without_type,
                where + " has an error in its trailers, and no " + std::string(error_type_field));
        if (type != nullptr && type->empty())
            add(kind::bad_trailer, where + ": the error type in the trailers is empty");
        if (body == nullptr)
            return;
        const auto decoded = from_base64(*body);
        if (!decoded || !is_json(*decoded))
            add(kind::bad_trailer, where + ": the error in the trailers is not JSON in base64");
    }

private:
    std::vector<lambda_violation>& found_;
};

} // namespace loopsafe::testing::detail

#endif
