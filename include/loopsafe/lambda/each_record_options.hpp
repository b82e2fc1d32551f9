// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_EACH_RECORD_OPTIONS_HPP
#define LOOPSAFE_LAMBDA_EACH_RECORD_OPTIONS_HPP

#include <loopsafe/error.hpp>
#include <loopsafe/lambda/sqs_event.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <type_traits>

namespace loopsafe::lambda {

/// Which records of a batch may run beside each other, and what a failure means to the others.
enum class record_order {
    by_queue,        ///< `stop_at_failure` for a FIFO queue, else `concurrent`
    concurrent,      ///< `max_running` at once, and a failure means nothing to the others
    stop_at_failure, ///< one after the other; what comes after a failure is reported with it
    skip_group       ///< one after the other; a failure is reported with what comes after it in
                     ///< its group, and the other groups go on
};

/// Why a record is reported as failed.
enum class record_end {
    failed,    ///< its function has thrown
    cancelled, ///< it ran at `cancel_before`, and ended by that cancellation
    not_begun  ///< `stop_before` had come, or one before it had failed
};

/// What `each_record_options::on_failure` is told. Nothing of it outlives the call.
struct record_failure {
    const sqs_record& record;
    record_end end;
    const std::exception_ptr& error; ///< null where the record was not begun
};

/// Trivially copyable, because GCC 12 destroys other aggregates twice when they are made in the
/// same expression as a `co_await`.
struct each_record_options {
    /// How many records of a standard queue run at once; at least 1.
    std::size_t max_running = 8;

    /// So long before the deadline of the invocation no record begins any more.
    std::chrono::milliseconds stop_before = std::chrono::milliseconds(500);

    /// So long before the deadline those that run are cancelled, so that the others are answered
    /// for. It must leave the runtime the time to send the answer. If it is longer than
    /// `stop_before`, no record begins after it either.
    std::chrono::milliseconds cancel_before = std::chrono::milliseconds(150);

    record_order order = record_order::by_queue;

    /// Is called for each record that is reported as failed, as it fails; for one that was not
    /// begun, at the end. What it throws is ignored. Null: `log_record_failure()`.
    const std::function<void(const record_failure&)>* on_failure = nullptr;
};
static_assert(std::is_trivially_copyable_v<each_record_options>);

/// Writes a line to stderr: the id of the record, and the report of the error as Lambda gets it; of
/// a record that was not begun, only that. Thread safety: as stderr.
void log_record_failure(const record_failure& what);

namespace detail {

// Errors: `bad_option` (as `system_error`).
inline void check(const each_record_options& options)
{
    const auto refuse_if = [](bool bad, const char* what) {
        if (bad)
            throw boost::system::system_error(make_error_code(loopsafe::errc::bad_option), what);
    };
    refuse_if(options.max_running == 0, "each_record: max_running is 0: nothing would ever begin");
    refuse_if(options.stop_before < std::chrono::milliseconds::zero(),
              "each_record: stop_before is negative");
    refuse_if(options.cancel_before < std::chrono::milliseconds::zero(),
              "each_record: cancel_before is negative");
}

} // namespace detail
} // namespace loopsafe::lambda

#include <loopsafe/lambda/impl/each_record_options.hpp>

#endif
