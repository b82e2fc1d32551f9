// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_TASK_SCOPE_OPTIONS_HPP
#define LOOPSAFE_RUN_TASK_SCOPE_OPTIONS_HPP

#include <loopsafe/never.hpp>
#include <loopsafe/run/deadline.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <limits>
#include <source_location>
#include <vector>

namespace loopsafe {

/// What a scope does when one of its tasks fails.
enum class on_error {
    cancel_siblings, ///< cancels the others, and lets no more begin
    wait             ///< lets them go on, and reports the first error at the end
};

/// The error of a task, and where that was started.
struct task_error {
    std::exception_ptr error;
    std::source_location started = {};
};

/// Trivially copyable, because GCC 12 destroys other aggregates twice when they are made in the
/// same expression as a `co_await`.
struct task_scope_options {
    on_error errors = on_error::cancel_siblings;

    /// How many tasks `start_when_free()` lets run at once: at least 1, else `bad_option`.
    std::size_t max_running = std::numeric_limits<std::size_t>::max();

    /// Gets the errors after the first. Without it the first of them is rethrown at the end of
    /// `run()` or of the `runner`, as that of a task of `spawn()` is.
    std::vector<task_error>* further = nullptr;

    /// When it passes, all tasks are cancelled, and `with_tasks()` ends with `timed_out` for want
    /// of another error. If it has passed before, no task begins.
    loopsafe::deadline deadline = {};

    /// A task that goes on for longer than this after it was cancelled is reported with the place
    /// where it was started (`task_stuck`): to `further`, or at the end of `run()`. It is awaited
    /// all the same.
    std::chrono::milliseconds grace = never;
};

} // namespace loopsafe

#endif
