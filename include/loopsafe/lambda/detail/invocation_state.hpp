// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_INVOCATION_STATE_HPP
#define LOOPSAFE_LAMBDA_DETAIL_INVOCATION_STATE_HPP

#include <loopsafe/async/detail/inheriting_executor.hpp>
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
