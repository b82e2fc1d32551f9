// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_CONTEXT_LOOP_HPP
#define LOOPSAFE_LAMBDA_DETAIL_CONTEXT_LOOP_HPP

#include <loopsafe/async/detail/cancellable.hpp>
#include <loopsafe/async/detail/existing_handler.hpp>
#include <loopsafe/async/detail/within_clock.hpp>
#include <loopsafe/context/ref.hpp>
#include <loopsafe/lambda/detail/error_report.hpp>
#include <loopsafe/lambda/options.hpp>
#include <loopsafe/never.hpp>
#include <loopsafe/run/runner.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::lambda::detail {

namespace asio = boost::asio;

// A context, which runs one coroutine at a time to its end, as run() does. Unlike that, it can be
// cancelled from elsewhere, once it has begun, and gives up one that does not end then: its frames
// are destroyed with the context. And an exception of another handler is reported, and ends
// nothing.
class context_loop {
public:
    using clock = std::chrono::steady_clock;

    context_loop(const log_function& log, const char* name) : log_(log)
    {
        name_context(context_, name);
    }

    asio::io_context& context() noexcept { return context_; }

    // Gives the first error of a background task; those that are left have so long to end.
    // Preconditions: none of this thread runs. Errors:
    // what `main` throws; `operation_aborted` (as `system_error`) if it was given up.
    template <class Main>
    std::exception_ptr run(const Main& main, bool ends_tasks = true,
                           std::chrono::milliseconds ends_within = never)
    {
        const thread_runs mark;
        const auto state = std::make_shared<main_state>();
        asio::co_spawn(context_, run_to_end(main, state), main_handler(state));
        {
            const std::lock_guard lock(mutex_);
            main_ = state;
        }
        {
            const under_way until_done(*this, *state);
            while (!state->done && state->exists && run_one()) {}
        }
        if (!state->done)
            throw boost::system::system_error(asio::error::operation_aborted,
                                              "what was cancelled did not end");
        if (ends_within != never)
            give_up_at(loopsafe::detail::later(clock::now(), ends_within));
        const auto of_tasks = ends_tasks ? end_tasks() : nullptr;
        if (state->error == nullptr)
            return of_tasks;
        log_failed_task(of_tasks);
        std::rethrow_exception(state->error);
    }

    void log_failed_task(const std::exception_ptr& error)
    {
        if (error != nullptr)
            log_("a background task has failed: " + message_of(error));
    }

    // What runs, or will be run, is cancelled; at `give_up` nobody waits for it any more. It needs
    // no memory.
    // Thread safety: safe, until this is destroyed.
    void cancel(clock::time_point give_up) noexcept
    {
        const std::lock_guard lock(mutex_);
        give_up_ = std::min(give_up_.value_or(give_up), give_up);
        cancelled_ = stirred_ = true;
        context_.stop(); // so that whoever runs it looks
    }

    // Nobody waits for what runs longer than until then.
    void give_up_at(clock::time_point at) noexcept
    {
        const std::lock_guard lock(mutex_);
        give_up_ = std::min(give_up_.value_or(at), at);
    }

    bool is_given_up() const noexcept { return given_up_; }

    // Handlers that need no wait. Preconditions: as `run()`.
    void run_ready()
    {
        const thread_runs mark;
        if (context_.stopped())
            context_.restart();
        try {
            context_.poll();
        } catch (...) {
            log_thrown();
        }
    }

private:
    struct main_state {
        loopsafe::detail::cancellable cancellation;
        std::exception_ptr error;
        bool done = false;
        bool exists = false;
        bool begun = false;
        bool cancelled = false;
    };

    // Whatever ends it: a main that has not ended is given up.
    struct under_way {
        under_way(context_loop& l, const main_state& m) noexcept : loop(l), main(m) {}
        under_way(const under_way&) = delete;
        ~under_way()
        {
            const std::lock_guard lock(loop.mutex_);
            loop.main_.reset();
            loop.given_up_ = loop.given_up_ || !main.done;
        }
        context_loop& loop;
        const main_state& main;
    };

    class main_handler : public loopsafe::detail::existing_handler<main_state> {
    public:
        using existing_handler::existing_handler;
        void operator()(const std::exception_ptr&) const {}
    };

    template <class Main>
    static asio::awaitable<void> run_to_end(const Main& main, std::shared_ptr<main_state> state)
    {
        try {
            co_await loopsafe::detail::run_cancellable(
                [&main, &state] {
                    state->begun = true;
                    return main();
                },
                state->cancellation);
        } catch (...) {
            state->error = std::current_exception();
        }
        state->done = true;
    }

    // A run() inside of this would block it.
    struct thread_runs {
        thread_runs() : before(std::exchange(loopsafe::detail::thread_is_running, true)) {}
        thread_runs(const thread_runs&) = delete;
        ~thread_runs() { loopsafe::detail::thread_is_running = before; }
        const bool before;
    };

    // When it is given up. What has been cancelled since the last look is told so: but not before
    // it has begun, since it may be an answer to what has been taken already.
    std::optional<clock::time_point> look()
    {
        std::shared_ptr<main_state> cancelled;
        std::optional<clock::time_point> until;
        {
            const std::lock_guard lock(mutex_);
            if (context_.stopped())
                context_.restart();
            stirred_ = false;
            until = give_up_;
            if (cancelled_ && main_ != nullptr && main_->begun && main_->exists &&
                !std::exchange(main_->cancelled, true))
                cancelled = main_;
        }
        if (cancelled != nullptr)
            cancelled->cancellation.emit(asio::cancellation_type::terminal);
        return until;
    }

    // Whether it was cancelled since the last look, and so has stopped with work to do.
    bool is_stirred()
    {
        const std::lock_guard lock(mutex_);
        return stirred_;
    }

    // False if it is given up, or nothing is left to do.
    bool run_one()
    {
        try {
            const auto until = look();
            if (!until)
                return context_.run_one() != 0 || is_stirred();
            return clock::now() < *until &&
                   (context_.run_one_until(*until) != 0 || work_left() || is_stirred());
        } catch (...) {
            log_thrown();
            return true;
        }
    }

    void log_thrown() const
    {
        log_("a handler of the context has thrown: " + message_of(std::current_exception()));
    }

    bool work_left() const noexcept { return !context_.stopped(); }

    std::exception_ptr end_tasks()
    {
        auto& tasks =
            context_local<loopsafe::detail::background_tasks>::in(context_.get_executor());
        {
            const loopsafe::detail::background_tasks::ending until_all_have_ended(tasks);
            while (!tasks.empty() && run_one()) {}
        }
        given_up_ = given_up_ || !tasks.empty();
        return tasks.take_error();
    }

    const log_function& log_;
    std::mutex mutex_;
    std::optional<clock::time_point> give_up_;
    std::shared_ptr<main_state> main_;
    bool cancelled_ = false;
    bool stirred_ = false;
    bool given_up_ = false;
    asio::io_context context_{1};
};

} // namespace loopsafe::lambda::detail

#endif
