// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_INVOCATION_STATE_HPP
#define LOOPSAFE_LAMBDA_DETAIL_INVOCATION_STATE_HPP

#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/http/fields.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace loopsafe::lambda {

namespace asio = boost::asio;

namespace detail {

// Names of the Runtime API.
namespace header {

inline constexpr std::string_view id = "Lambda-Runtime-Aws-Request-Id";
inline constexpr std::string_view nonce = "Lambda-Runtime-Invocation-Id";
inline constexpr std::string_view deadline = "Lambda-Runtime-Deadline-Ms";
inline constexpr std::string_view function_arn = "Lambda-Runtime-Invoked-Function-Arn";
inline constexpr std::string_view trace = "Lambda-Runtime-Trace-Id";
inline constexpr std::string_view tenant = "Lambda-Runtime-Aws-Tenant-Id";
inline constexpr std::string_view client_context = "Lambda-Runtime-Client-Context";
inline constexpr std::string_view cognito_identity = "Lambda-Runtime-Cognito-Identity";
inline constexpr std::string_view error_type = "Lambda-Runtime-Function-Error-Type";
inline constexpr std::string_view error_body = "Lambda-Runtime-Function-Error-Body";
inline constexpr std::string_view xray_cause = "Lambda-Runtime-Function-XRay-Error-Cause";
inline constexpr std::string_view response_mode = "Lambda-Runtime-Function-Response-Mode";
inline constexpr std::string_view extension_name = "Lambda-Extension-Name";
inline constexpr std::string_view extension_id = "Lambda-Extension-Identifier";

} // namespace header

// What is known of one invocation; it does not change.
struct invocation_state final : loopsafe::detail::inherited {
    http::fields headers; // which the views point into
    std::string event;
    std::string_view id;
    std::string_view nonce;
    std::string_view function_arn;
    std::string_view trace;
    std::string_view tenant;
    std::string_view client_context;
    std::string_view cognito_identity;
    std::optional<std::chrono::steady_clock::time_point> due;

    void read_headers() noexcept
    {
        id = headers[header::id];
        nonce = headers[header::nonce];
        function_arn = headers[header::function_arn];
        trace = headers[header::trace];
        tenant = headers[header::tenant];
        client_context = headers[header::client_context];
        cognito_identity = headers[header::cognito_identity];
    }
};

using loopsafe::detail::inherited_ref;
struct invocation_access;

inline asio::any_io_executor executor_for(asio::io_context& context, const inherited_ref& of)
{
    return loopsafe::detail::inheriting_executor<asio::io_context::executor_type>(
        context.get_executor(), of);
}

} // namespace detail
} // namespace loopsafe::lambda

#endif
