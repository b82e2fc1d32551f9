// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_RECORD_RUN_HPP
#define LOOPSAFE_LAMBDA_DETAIL_RECORD_RUN_HPP

#include <loopsafe/async/detail/is_cancellation.hpp>
#include <loopsafe/async/detail/timer.hpp>
#include <loopsafe/async/detail/within_clock.hpp>
#include <loopsafe/lambda/each_record_options.hpp>
#include <loopsafe/lambda/sqs_event.hpp>
#include <loopsafe/run/task_scope.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::lambda::detail {

namespace asio = boost::asio;

// One batch on its way: which records are begun and when, and how each of them ended.
template <class Timer, class F>
class record_run {
public:
    using time_point = typename Timer::time_point;

    record_run(const asio::any_io_executor& executor, const sqs_batch& batch, F& function,
               std::optional<time_point> due, const each_record_options& options)
        : records_(batch.records),
          function_(function),
          options_(options),
          order_(order_of(batch, options.order)),
          most_(order_ == record_order::concurrent ? options.max_running : 1),
          states_(batch.records.size(), state::open),
          wake_(executor)
    {
        if (!due)
            return;
        const auto stop_before = std::max(options.stop_before, options.cancel_before);
        stop_at_ = loopsafe::detail::earlier(*due, stop_before);
        cancel_at_ = loopsafe::detail::earlier(*due, options.cancel_before);
    }
    record_run(const record_run&) = delete;
    record_run& operator=(const record_run&) = delete;

    // Ends when all have ended that were begun, but for those that it has cancelled.
    asio::awaitable<void> run(task_scope& tasks)
    {
        for (std::size_t next = 0; next != records_.size() && !is_past(stop_at_);) {
            if (running_ >= most_) {
                co_await wait_until(stop_at_);
                if (tasks.is_cancelled())
                    co_return;
            } else if (is_held_back(next)) {
                ++next;
            } else {
                auto task = [this, next, alive = running(*this)] { return run_one(next); };
                if (!tasks.start(std::move(task)))
                    co_return;
                ++next;
            }
        }
        while (running_ != 0) {
            co_await wait_until(cancel_at_);
            if (tasks.is_cancelled())
                co_return;
            if (running_ != 0 && is_past(cancel_at_)) {
                cancelled_ = true;
                tasks.cancel();
                co_return;
            }
        }
    }

    // Precondition: all have ended.
    batch_response response()
    {
        batch_response failed;
        const sqs_record* unnamed = nullptr;
        for (std::size_t i = 0; i != records_.size(); ++i) {
            const auto& record = records_[i];
            if (states_[i] == state::done)
                continue;
            if (states_[i] == state::open)
                tell(record, record_end::not_begun, nullptr);
            if (record.message_id.empty())
                unnamed = &record;
            else
                failed.add(record);
        }
        if (unnamed != nullptr)
            failed.add(*unnamed); // throws
        return failed;
    }

private:
    enum class state : unsigned char { open, done, failed };

    // A record that was begun. Its task owns this, also one that Asio has no memory to begin.
    class running {
    public:
        explicit running(record_run& of) noexcept : of_(&of) { ++of.running_; }
        running(running&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
        running& operator=(running&&) = delete;
        ~running()
        {
            if (of_ == nullptr)
                return;
            --of_->running_;
            loopsafe::detail::cancel_quietly(of_->wake_);
        }

    private:
        record_run* of_;
    };

    static record_order order_of(const sqs_batch& batch, record_order wanted) noexcept
    {
        if (wanted != record_order::by_queue)
            return wanted;
        for (const auto& each : batch.records)
            if (each.is_fifo())
                return record_order::stop_at_failure;
        return record_order::concurrent;
    }

    static bool is_past(const std::optional<time_point>& when)
    {
        return when && Timer::clock_type::now() >= *when;
    }

    // Of a queue in order, after one that has failed.
    bool is_held_back(std::size_t which) const
    {
        if (order_ == record_order::skip_group)
            return failed_groups_.contains(records_[which].group_id());
        return order_ == record_order::stop_at_failure && any_failed_;
    }

    asio::awaitable<void> run_one(std::size_t which)
    {
        std::exception_ptr error;
        try {
            auto operation = std::invoke(function_, records_[which]);
            co_await std::move(operation);
        } catch (...) {
            error = std::current_exception();
        }
        if (error == nullptr)
            states_[which] = state::done;
        else
            fail(which, error);
    }

    void fail(std::size_t which, const std::exception_ptr& error)
    {
        states_[which] = state::failed; // and told
        any_failed_ = true;
        if (order_ == record_order::skip_group)
            failed_groups_.insert(records_[which].group_id());
        const bool by_deadline = cancelled_ && loopsafe::detail::is_cancellation(error);
        tell(records_[which], by_deadline ? record_end::cancelled : record_end::failed, error);
    }

    void tell(const sqs_record& record, record_end end, const std::exception_ptr& error) const
    {
        const record_failure what{record, end, error};
        try {
            if (options_.on_failure == nullptr)
                log_record_failure(what);
            else if (*options_.on_failure)
                (*options_.on_failure)(what);
        } catch (...) { // the record is reported all the same
        }
    }

    // Completes at that time, when a record has ended, or when the caller is cancelled.
    asio::awaitable<void> wait_until(std::optional<time_point> when)
    {
        wake_.expires_at(when.value_or(time_point::max()));
        co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    }

    const std::vector<sqs_record>& records_;
    F& function_;
    const each_record_options options_;
    const record_order order_;
    const std::size_t most_;
    std::optional<time_point> stop_at_;
    std::optional<time_point> cancel_at_;
    std::vector<state> states_;
    std::set<std::string_view> failed_groups_;
    std::size_t running_ = 0;
    bool any_failed_ = false;
    bool cancelled_ = false;
    Timer wake_;
};

template <class Timer, class F>
asio::awaitable<batch_response> run_records(const sqs_batch& batch, F function,
                                            std::optional<typename Timer::time_point> due,
                                            each_record_options options)
{
    check(options);
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    record_run<Timer, F> records(executor, batch, function, due, options);
    const auto body = [&records](task_scope& tasks) { return records.run(tasks); };
    task_scope_options supervise;
    supervise.errors = on_error::wait;
    co_await with_tasks(body, supervise);
    co_return records.response();
}

} // namespace loopsafe::lambda::detail

#endif
