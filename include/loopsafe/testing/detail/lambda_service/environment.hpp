// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_ENVIRONMENT_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_ENVIRONMENT_HPP

#include <loopsafe/async/detail/within_clock.hpp>
#include <loopsafe/pool/clock.hpp>
#include <loopsafe/testing/detail/lambda_service/call.hpp>
#include <loopsafe/testing/detail/lambda_service/checks.hpp>
#include <loopsafe/testing/detail/lambda_service/event.hpp>
#include <loopsafe/testing/detail/lambda_service/extensions.hpp>
#include <loopsafe/testing/detail/lambda_service/given_invocations.hpp>
#include <loopsafe/testing/detail/lambda_service/refusals.hpp>
#include <loopsafe/testing/detail/lambda_service/replies.hpp>
#include <loopsafe/testing/detail/lambda_service/runtime_start.hpp>
#include <loopsafe/testing/detail/lambda_service/runtime_state.hpp>
#include <loopsafe/testing/detail/lambda_service/session.hpp>
#include <loopsafe/testing/detail/lambda_service/unique_id.hpp>
#include <loopsafe/testing/detail/lambda_service/waiting_runtimes.hpp>
#include <loopsafe/testing/lambda_service_options.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::testing::detail {

// One execution environment: what its runtime may do, and which invocations it has. With a
// concurrency of more than 1 only the ids of the invocations have a state.
class environment {
    using kind = lambda_violation::kind;
    using call_ptr = given_invocations::call_ptr;

public:
    environment(const lambda_service_options& options, request_checks checks,
                std::function<void()> before_event)
        : extensions(options.external_extensions, checks),
          options_(options),
          checks_(checks),
          given_(checks, options.concurrency <= 1),
          before_event_(std::move(before_event)),
          start_(state_, checks)
    {
    }
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;

    extension_list extensions;
    std::string_view end_reason = "FAILURE"; // of the next end

    bool single() const noexcept { return options_.concurrency <= 1; }
    bool past_init() const noexcept { return start_.is_over(); }
    runtime_start& start() noexcept { return start_; }
    bool idle() const
    {
        return given_.running().empty() && !waiting_.empty() && extensions.ready();
    }
    runtime_state state() const noexcept { return state_; }

    // Invocations.

    void begin(call_ptr call)
    {
        if (start_.has_failed())
            return call->end(start_.failure());
        queue_.push_back(std::move(call));
        dispatch();
    }

    std::optional<std::chrono::nanoseconds> earliest_due() const { return given_.earliest_due(); }

    void expire(const clock_reading& now)
    {
        for (const auto& call : given_.take_overdue(now)) {
            has_ended();
            call->end(timed_out(call->options.timeout));
        }
    }

    // The process has ended, or another takes its place.
    void forget(const std::string& why)
    {
        const bool has_begun = past_init() && state_ != runtime_state::init_error;
        for (const auto& [id, call] : given_.forget())
            call->end(exited(lambda_reply::kind::crashed, id, why));
        if (!has_begun)
            fail_queued(exited(lambda_reply::kind::failed_init, "", why));
        extensions.tell("SHUTDOWN", news_of_end(std::exchange(end_reason, "FAILURE"), now().wall));
        waiting_.forget();
        start_.forget();
        extensions.forget();
    }

    // Requests.

    void next(session& from, const std::optional<fault>& wrong)
    {
        if (!single())
            return next_of_many(from, wrong);
        const auto& all = given_.running();
        const auto running = all.empty() ? nullptr : all.begin()->second;
        if (running && running->not_taken)
            lose(running);
        switch (state_) {
        case runtime_state::started:
        case runtime_state::restoring:
        case runtime_state::response_sent: state_ = runtime_state::ready; break;
        case runtime_state::running:
            if (!running->not_delivered)
                checks_.add(kind::second_next, "/next before the answer to " + running->id);
            return deliver(running, {from.shared_from_this(), wrong});
        default:
            if (state_ == runtime_state::ready && waiting_.some_gave_up())
                checks_.add(kind::abandoned_next, "/next after one that was given up");
            else
                checks_.add(kind::second_next,
                            "/next in the state " + std::string(to_string(state_)));
            return from.answer(refuse_transition(state_, "Ready"));
        }
        waiting_.enter(from, wrong);
        dispatch();
    }

    // The head of a response has come: is there anybody to hear it?
    call_ptr open_response(session& from, const std::string& id)
    {
        const auto call = admit(from, id, "InvocationResponse");
        if (call == nullptr)
            return nullptr;
        if (const auto mode = from.request().field_text(mode_field);
            !mode.empty() && mode != "streaming") {
            checks_.add(kind::bad_response_mode, std::string(mode_field) + ": " + mode);
            finish(call);
            call->end(reply_of(lambda_reply::kind::error, "", "Runtime.InvalidResponseModeHeader"));
            from.answer(refuse_mode());
            return nullptr;
        }
        call->answering = true;
        state_ = single() ? runtime_state::invocation_response : state_;
        return call;
    }

    // False once it was refused.
    bool small_enough(session& from, const call_ptr& call)
    {
        const auto& request = from.request();
        if (!given_.is_running(call)) {
            from.answer(refuse_late());
            return false;
        }
        if (request.body.size() <= most_bytes || !request.field_text(mode_field).empty())
            return true;
        finish(call);
        call->end(too_large());
        from.answer(refuse_size(most_bytes));
        return false;
    }

    void end_response(session& from, const call_ptr& call, const std::optional<fault>& wrong)
    {
        given_.answered(call, wrong.has_value());
        finish(call);
        call->end(responded(from.request()));
        from.answer(accepted(), wrong);
    }

    void cut_response(const call_ptr& call)
    {
        if (!given_.is_running(call))
            return;
        checks_.add(kind::truncated_response,
                    "the connection ended within the response to " + call->id);
        finish(call);
        call->end(reply_of(lambda_reply::kind::error, "", "Runtime.TruncatedResponse"));
    }

    void error(session& from, const std::string& id, const std::optional<fault>& wrong)
    {
        const auto call = admit(from, id, "InvocationErrorResponse");
        if (call == nullptr)
            return;
        given_.answered(call, wrong.has_value());
        finish(call);
        call->end(reported(from.request(), lambda_reply::kind::error));
        from.answer(accepted(), wrong);
    }

    void init_error(session& from, const std::optional<fault>& wrong)
    {
        if (start_.init_error(from))
            fail_start(from, wrong);
    }

    void restore_error(session& from, const std::optional<fault>& wrong)
    {
        if (start_.restore_error(from))
            fail_start(from, wrong);
    }

    // A fault keeps the answer to an invocation from the service: for good, or until it comes
    // again.
    void not_taken(const std::string& id, bool for_good)
    {
        const auto call = given_.find(id);
        if (call == nullptr)
            return;
        call->not_taken = true;
        if (for_good)
            lose(call);
    }

    void lost(const session& from)
    {
        waiting_.lost(from);
        start_.lost(from);
    }

    void dispatch()
    {
        while (!queue_.empty() && !waiting_.empty() && extensions.ready()) {
            const auto call = queue_.front();
            queue_.pop_front();
            if (call->unwanted())
                continue;
            if (given_.find(call->options.id) != nullptr) {
                call->end(reply_of(lambda_reply::kind::error,
                                   "an invocation with this id runs already",
                                   "Client.DuplicatedInvokeId"));
                continue;
            }
            before_event_();
            deliver(call, waiting_.take());
        }
    }

    clock_reading now() const
    {
        return options_.clock != nullptr ? options_.clock() : pool_clock::read();
    }

private:
    void next_of_many(session& from, const std::optional<fault>& wrong)
    {
        if (waiting_.size() >= options_.concurrency) {
            checks_.add(kind::second_next, "more than " + std::to_string(options_.concurrency) +
                                               " times /next at once");
            return from.answer(refuse_concurrency());
        }
        state_ = runtime_state::ready;
        for (const auto& [id, call] : given_.running()) {
            if (call->not_delivered)
                return deliver(std::shared_ptr(call), {from.shared_from_this(), wrong});
        }
        waiting_.enter(from, wrong);
        dispatch();
    }

    void deliver(const call_ptr& call, const pending& to)
    {
        const bool again = !call->id.empty();
        if (!again)
            enter(*call);
        const auto previous = given_.give(call);
        if (single())
            state_ = runtime_state::running;
        using what = fault::kind;
        const auto wrong = to.wrong ? to.wrong->what() : what::lower_case; // which spoils nothing
        call->not_delivered = wrong != what::lower_case && wrong != what::upper_case;
        auto id = call->id;
        if (wrong == what::repeated_id && !previous.empty())
            id = previous;
        if (wrong == what::no_id)
            id.clear();
        to.from->answer(event_of(*call, id, options_.arn), to.wrong);
        if (single() && !again)
            extensions.tell("INVOKE", news_of(*call, options_.arn));
    }

    void enter(invocation_call& call)
    {
        call.id = call.options.id.empty() ? unique_id() : call.options.id;
        if (options_.invocation_ids)
            call.nonce = unique_id();
        using loopsafe::detail::later;
        call.due = now();
        call.due.monotonic = later(call.due.monotonic, call.options.timeout);
        call.due.wall = later(call.due.wall, call.options.timeout);
        given_.enter(call.id);
    }

    // The invocation that may be answered now, or nothing once that was refused.
    call_ptr admit(session& from, const std::string& id, std::string_view to)
    {
        using standing = given_invocations::standing;
        const auto found = given_.admit(from, id);
        switch (found.is) {
        case standing::open: break;
        case standing::gone: from.answer(refuse_late()); break;
        case standing::wrong_state: from.answer(refuse_transition(state_, to)); break;
        case standing::bad_id: from.answer(refuse_id()); break;
        }
        return found.call;
    }

    void finish(const call_ptr& call)
    {
        given_.finish(call);
        has_ended();
    }

    void has_ended() noexcept
    {
        if (single())
            state_ = runtime_state::response_sent;
    }

    void lose(const call_ptr& call)
    {
        given_.answered(call, true);
        finish(call);
        call->end(reply_of(lambda_reply::kind::lost, "a fault kept the answer from the service"));
    }

    void fail_queued(const lambda_reply& with)
    {
        for (const auto& call : std::exchange(queue_, {}))
            call->end(with);
    }

    void fail_start(session& from, const std::optional<fault>& wrong)
    {
        fail_queued(start_.failure());
        from.answer(accepted(), wrong);
    }

    const lambda_service_options& options_;
    request_checks checks_;
    given_invocations given_;
    const std::function<void()> before_event_;
    runtime_state state_ = runtime_state::started;
    runtime_start start_;
    std::deque<call_ptr> queue_;
    waiting_runtimes waiting_;
};

} // namespace loopsafe::testing::detail

#endif
