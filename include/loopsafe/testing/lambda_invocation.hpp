// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_LAMBDA_INVOCATION_HPP
#define LOOPSAFE_TESTING_LAMBDA_INVOCATION_HPP

#include <loopsafe/lambda/invocation.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::testing {

/// What a service would say of an invocation.
struct invocation_facts {
    std::string id = "00000000-0000-0000-0000-000000000000";
    std::string function_arn = {};
    std::string trace = {};
    std::string tenant = {};
    std::string client_context = {};
    std::string cognito_identity = {};
    std::optional<std::chrono::steady_clock::time_point> due = {};
};

/// An invocation without a service, to call a handler with.
///
///     auto in = testing::make_invocation(R"({"order": 7})");
///     CHECK(run([&] { return handler(in); }) == "null");
///
/// The handler does not find it with `this_invocation()`: nothing runs on its executor.
/// Errors: `http::error` {`bad_field_value`} for facts that no service can send.
inline lambda::invocation make_invocation(std::string event, const invocation_facts& facts = {})
{
    auto state = std::make_unique<lambda::detail::invocation_state>();
    state->event = std::move(event);
    state->headers = {{lambda::detail::header::id, facts.id},
                      {lambda::detail::header::function_arn, facts.function_arn},
                      {lambda::detail::header::trace, facts.trace},
                      {lambda::detail::header::tenant, facts.tenant},
                      {lambda::detail::header::client_context, facts.client_context},
                      {lambda::detail::header::cognito_identity, facts.cognito_identity}};
    state->read_headers();
    state->due = facts.due;
    return lambda::detail::invocation_access::make(
        loopsafe::detail::inherited_ref(std::move(state)));
}

} // namespace loopsafe::testing

#endif
