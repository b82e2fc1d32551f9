// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_RUNTIME_STATE_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_RUNTIME_STATE_HPP

#include <string_view>

namespace loopsafe::testing::detail {

enum class runtime_state {
    started,
    init_error,
    ready,
    running,
    invocation_response,
    response_sent,
    restore_ready,
    restoring,
    restore_error
};

// As AWS's emulator names them.
constexpr std::string_view to_string(runtime_state state) noexcept
{
    switch (state) {
    case runtime_state::started: return "Started";
    case runtime_state::init_error: return "InitError";
    case runtime_state::ready: return "Ready";
    case runtime_state::running: return "Running";
    case runtime_state::invocation_response: return "InvocationResponse";
    case runtime_state::response_sent: return "RuntimeResponseSentState";
    case runtime_state::restore_ready: return "RestoreReady";
    case runtime_state::restoring: return "Restoring";
    case runtime_state::restore_error: return "RuntimeRestoreErrorState";
    }
    return "";
}

} // namespace loopsafe::testing::detail

#endif
