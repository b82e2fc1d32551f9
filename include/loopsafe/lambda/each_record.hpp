// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_EACH_RECORD_HPP
#define LOOPSAFE_LAMBDA_EACH_RECORD_HPP

#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/lambda/detail/record_run.hpp>
#include <loopsafe/lambda/each_record_options.hpp>
#include <loopsafe/lambda/invocation.hpp>
#include <loopsafe/lambda/sqs_event.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace loopsafe::lambda {
namespace detail {

template <class F>
asio::awaitable<batch_response> run_records_here(const sqs_batch& batch, F function,
                                                 each_record_options options)
{
    const auto in = co_await this_invocation();
    auto records = run_records<asio::steady_timer>(batch, std::move(function), in.due(), options);
    co_return co_await std::move(records);
}

} // namespace detail

/// A function of a record that returns `awaitable<void>`.
template <class F>
concept record_function = std::same_as<std::invoke_result_t<std::decay_t<F>&, const sqs_record&>,
                                       boost::asio::awaitable<void>>;

/// Runs `function(record)` for each record, and gives the answer: the ids of those that failed.
///
///     co_return co_await lambda::each_record(batch, store, {.max_running = 8});
///
/// Those of a standard queue run as tasks of a scope beside each other; those of a FIFO queue one
/// after the other, and none after one that failed (`each_record_options::order`). Whatever a
/// record throws, it is reported, and so comes again; the others go on. Near the deadline of the
/// invocation no record begins any more, those that run are cancelled (terminal), and all of them
/// are reported. So there is an answer, unless a record ignores its cancellation: it is awaited.
/// Only ids of the event are in the answer, each once. If all failed, all are in it, and nothing is
/// thrown. The invocation is that of the caller (`this_invocation()`), or is given: a default
/// `invocation` has no deadline.
///
/// Preconditions: the batch lives until the end; the caller's executor runs one handler at a time.
/// Errors: `unmarshal_error` where a record that failed has no id (that of any other exception of a
/// handler: the whole batch comes again); `bad_option` (as `system_error`); `operation_aborted` if
/// the caller was cancelled; `lambda::errc::no_invocation` (as `system_error`); `bad_alloc`.
/// Cancellation: terminal; the records are awaited.
/// Complexity: linear in the number of records, but for the FIFO order `skip_group`, where each
/// looks up its group.
template <record_function F>
boost::asio::awaitable<batch_response> each_record(const sqs_batch& batch, F&& function,
                                                   const invocation& in,
                                                   each_record_options options = {})
{
    static_assert(loopsafe::detail::safe_as_temporary<F>,
                  "GCC 12 would destroy the captures of this function twice: give the lambda a "
                  "name first and pass that");
    return detail::run_records<boost::asio::steady_timer>(
        batch, std::decay_t<F>(std::forward<F>(function)), in.due(), options);
}

template <record_function F>
boost::asio::awaitable<batch_response> each_record(const sqs_batch& batch, F&& function,
                                                   each_record_options options = {})
{
    static_assert(loopsafe::detail::safe_as_temporary<F>,
                  "GCC 12 would destroy the captures of this function twice: give the lambda a "
                  "name first and pass that");
    return detail::run_records_here(batch, std::decay_t<F>(std::forward<F>(function)), options);
}

/// A batch that is gone before its records have run.
template <class F>
void each_record(const sqs_batch&&, F&&, each_record_options = {}) = delete;
template <class F>
void each_record(const sqs_batch&&, F&&, const invocation&, each_record_options = {}) = delete;

} // namespace loopsafe::lambda

#endif
