// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_GUARDED_CALL_HPP
#define LOOPSAFE_LAMBDA_DETAIL_GUARDED_CALL_HPP

#include <loopsafe/async/detail/cancellable.hpp>
#include <loopsafe/async/detail/is_cancellation.hpp>
#include <loopsafe/async/detail/within_clock.hpp>
#include <loopsafe/context/ref.hpp>
#include <loopsafe/lambda/detail/handler.hpp>
#include <loopsafe/lambda/function_error.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::lambda::detail {

// How a handler ended: with a response, or an error.
struct call_outcome {
    std::string response;
    std::exception_ptr error;
};

inline std::exception_ptr handler_timed_out()
{
    return std::make_exception_ptr(function_error(
        "Runtime.HandlerTimeout", make_error_code(errc::handler_timed_out).message()));
}

inline std::exception_ptr handler_stopped()
{
    return std::make_exception_ptr(function_error("Runtime.HandlerStopped",
                                                  "the runtime was stopped, and the handler, or a "
                                                  "task that it started, did not end within "
                                                  "`stop_within`"));
}

// One call of a handler, by a coroutine of its own on the executor of its invocation. It is
// cancelled when its time is nearly up, and left to itself when it is up: it owns all that it uses.
class guarded_call {
public:
    using clock = std::chrono::steady_clock;

    explicit guarded_call(const asio::any_io_executor& executor)
        : home_(context_of(executor)), changed_(executor)
    {
    }

    static asio::awaitable<call_outcome> run(std::shared_ptr<any_handler> handler, invocation in,
                                             asio::any_io_executor executor,
                                             std::optional<response_writer> out,
                                             std::chrono::milliseconds finish_before)
    {
        const auto due = in.due();
        const auto nearly =
            due ? loopsafe::detail::earlier(*due, finish_before) : clock::time_point::max();
        const asio::any_io_executor mine = co_await asio::this_coro::executor;
        const auto state = std::make_shared<guarded_call>(mine);
        auto begin = [h = std::move(handler), i = std::move(in), o = std::move(out)]() mutable {
            return h->call(i, o ? &*o : nullptr);
        };
        co_await asio::this_coro::throw_if_cancelled(false);
        asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
        state->follow(caller); // what is cancelled before it begins does not begin
        auto task = loopsafe::detail::run_cancellable(std::move(begin), state->cancel_);
        asio::co_spawn(executor, std::move(task), ended(state));
        bool late = false;
        while (!state->ended_) {
            if (due && !late && clock::now() >= nearly) {
                late = true;
                state->cancel();
                continue;
            }
            if (due && late && clock::now() >= *due)
                break;
            state->changed_.expires_at(late ? *due : nearly);
            co_await state->changed_.async_wait(asio::as_tuple(asio::deferred));
            caller = co_await asio::this_coro::cancellation_state;
            state->follow(caller);
        }
        call_outcome outcome{std::move(state->response_), std::move(state->error_)};
        const bool was_stopped =
            !state->ended_ ||
            (outcome.error != nullptr && loopsafe::detail::is_cancellation(outcome.error));
        if (late && was_stopped)
            outcome.error = handler_timed_out();
        co_return outcome;
    }

private:
    void follow(const asio::cancellation_state& caller)
    {
        if (caller.cancelled() != asio::cancellation_type::none && !cancelled_)
            cancel();
    }

    void cancel()
    {
        cancelled_ = true;
        cancel_.emit(asio::cancellation_type::terminal);
    }

    // It has a slot rather than a binder for one: through that, Boost 1.81 emits later, when the
    // signal may be gone.
    class ended {
    public:
        using cancellation_slot_type = asio::cancellation_slot;

        explicit ended(std::shared_ptr<guarded_call> of) noexcept : of_(std::move(of)) {}
        ended(ended&&) noexcept = default;
        ended& operator=(ended&&) = delete;
        ~ended()
        {
            if (of_ != nullptr)
                of_->end({}, nullptr, false);
        }

        cancellation_slot_type get_cancellation_slot() const noexcept
        {
            return of_->cancel_.slot();
        }

        void operator()(std::exception_ptr error, std::string response)
        {
            of_->end(std::move(response), std::move(error), true);
        }

    private:
        std::shared_ptr<guarded_call> of_;
    };

    void end(std::string response, std::exception_ptr error, bool completed) noexcept
    {
        if (std::exchange(ended_, true))
            return;
        response_ = std::move(response);
        error_ = std::move(error);
        if (!completed && !home_.alive())
            return; // with its context, and so is who waits
        if (!completed)
            error_ = std::make_exception_ptr(function_error(
                "Runtime.HandlerLost", "what the handler awaits was destroyed before it was done"));
        try {
            changed_.cancel();
        } catch (...) { // declared, though never thrown by Asio's reactors
        }
    }

    const context_ref home_;
    loopsafe::detail::cancellable cancel_;
    asio::steady_timer changed_; // waited for until the handler ends, or its time is up
    std::string response_;
    std::exception_ptr error_;
    bool cancelled_ = false;
    bool ended_ = false;
};

} // namespace loopsafe::lambda::detail

#endif
