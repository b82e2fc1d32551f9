// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_INVOCATION_STATE_HPP
#define LOOPSAFE_LAMBDA_DETAIL_INVOCATION_STATE_HPP

#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/http/fields.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
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
    std::string_view deadline;
    std::string_view function_arn;
    std::string_view trace;
    std::string_view tenant;
    std::string_view client_context;
    std::string_view cognito_identity;
    std::optional<std::chrono::steady_clock::time_point> due;

    // What stands there twice counts once.
    void read_headers() noexcept
    {
        struct wanted {
            std::string_view name;
            std::string_view invocation_state::* part;
        };
        static constexpr std::array all{
            wanted{header::id, &invocation_state::id},
            wanted{header::nonce, &invocation_state::nonce},
            wanted{header::deadline, &invocation_state::deadline},
            wanted{header::function_arn, &invocation_state::function_arn},
            wanted{header::trace, &invocation_state::trace},
            wanted{header::tenant, &invocation_state::tenant},
            wanted{header::client_context, &invocation_state::client_context},
            wanted{header::cognito_identity, &invocation_state::cognito_identity}};
        for (const auto& each : headers) {
            for (const auto& [name, part] : all) {
                if (each.name.size() == name.size() && (this->*part).data() == nullptr &&
                    (each.name == name || http::detail::equal_ignoring_case(each.name, name)))
                    this->*part = each.value;
            }
        }
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
