// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_OPTIONS_HPP
#define LOOPSAFE_LAMBDA_OPTIONS_HPP

#include <loopsafe/run/lifespan.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace loopsafe::lambda {

/// Gets what nobody else is told of: a line without its end, without secrets.
using log_function = std::function<void(std::string_view)>;

/// Writes to standard error, which AWS collects.
inline void log_to_stderr(std::string_view line)
{
    const auto size = static_cast<int>(line.size() < 8192 ? line.size() : 8192);
    std::fprintf(stderr, "loopsafe: %.*s\n", size, line.data());
}

/// What is done around a snapshot that AWS Lambda takes of a function that has started (SnapStart),
/// from which there are then many copies.
struct snapshot_hook {
    std::function<void()> before; ///< in reverse order; what it throws ends the start
    std::function<void()> after;  ///< in each copy, in order; what it throws ends that
};

/// Options of a runtime.
struct runtime_options {
    /// Where the Runtime API is, "host:port" or "host:port/path"; empty: AWS_LAMBDA_RUNTIME_API.
    std::string endpoint = {};

    /// So long before the deadline of an invocation its handler is cancelled (terminal), so that
    /// there is an answer. One that has not ended at the deadline is answered for, and left to
    /// itself.
    std::chrono::milliseconds finish_before = std::chrono::milliseconds(50);

    /// With `concurrent`: on how many contexts, each with a thread, the invocations run.
    std::size_t contexts = 1;

    /// AWS tells a function that its process ends, by SIGTERM, only if an extension is registered:
    /// so this registers one that does nothing. Then what runs is cancelled, and `serve()` returns.
    bool ends_on_sigterm = true;

    /// How long what runs at the end has to end: AWS gives 500 ms, and less beside extensions of
    /// others.
    std::chrono::milliseconds stop_within = std::chrono::milliseconds(400);

    /// How long the Runtime API may take to answer, or to go on with what it does, once it has the
    /// request; but not for the next event, which may take for ever.
    std::chrono::milliseconds api_timeout = std::chrono::seconds(30);

    /// Sets _X_AMZN_TRACE_ID for each invocation, which AWS's SDKs read, or removes it where the
    /// invocation has no trace. Not with `concurrent`,
    /// where it would be another's; and other threads must not read the environment meanwhile.
    bool sets_trace_variable = false;

    /// What the function starts before its first event, and stops at the end; on each context, if
    /// there are several. What fails to start is reported, and ends the runtime with 1; what
    /// `stop()` or SIGTERM cancels has not failed. With `context_per_invocation`, and with
    /// `lifespan_mode::per_invocation`, around each invocation, where what fails to start fails the
    /// invocation. Not around each where invocations run beside each other on one context:
    /// `serve()` returns 1 then. It must outlive `serve()`.
    loopsafe::lifespan* lifespan = nullptr;

    std::vector<snapshot_hook> snapshot_hooks = {};

    /// Called from each thread that serves, from several at once with `concurrent`. What it throws
    /// is dropped.
    log_function log = log_to_stderr;
};

} // namespace loopsafe::lambda

#endif
