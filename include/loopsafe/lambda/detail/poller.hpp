// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_POLLER_HPP
#define LOOPSAFE_LAMBDA_DETAIL_POLLER_HPP

#include <loopsafe/lambda/detail/error_report.hpp>
#include <loopsafe/lambda/detail/guarded_call.hpp>
#include <loopsafe/lambda/detail/runtime_api.hpp>
#include <loopsafe/pool/process.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::lambda::detail {

// The response to one invocation under way.
struct response_under_way {
    call_outcome outcome;
    std::shared_ptr<response_stream> stream; // of a handler that streams
};

// Takes one event after the other, calls the handler, and sends what it gives.
class poller {
public:
    poller(const runtime_options& options, const endpoint& to)
        : options_(options), api_(to, options_)
    {
    }

    runtime_api& api() noexcept { return api_; }

    // Before the process may have been frozen, it may not be told apart from after.
    asio::awaitable<invocation> next(bool is_frozen_between)
    {
        auto in = co_await api_.next();
        if (is_frozen_between) {
            process_thawed();
#if defined(BOOST_HAS_UNISTD_H)
            if (options_.sets_trace_variable)
                set_trace_variable(std::string(in.trace()));
#endif
        }
        co_return in;
    }

    // Calls the handler, on this context. What of the response has begun is in `made` at once,
    // since this may not end.
    asio::awaitable<void> call(response_under_way& made, std::shared_ptr<any_handler> handler,
                               invocation in, asio::io_context& context)
    {
        std::optional<response_writer> out;
        if (handler->streams()) {
            made.stream = std::make_shared<response_stream>(api_, in);
            out = response_writer_access::make(made.stream);
        }
        const auto executor = executor_for(context, invocation_access::ref(in));
        made.outcome = co_await guarded_call::run(std::move(handler), std::move(in), executor,
                                                  std::move(out), options_.finish_before);
    }

    // The same, with what the function starts and stops around each.
    asio::awaitable<void> call_within(lifespan& app, response_under_way& made,
                                      std::shared_ptr<any_handler> handler, invocation in,
                                      asio::io_context& context)
    {
        co_await asio::this_coro::throw_if_cancelled(false); // there is an answer in any case
        try {
            co_await app.start(options_.stop_within);
        } catch (...) {
            made.outcome.error = std::current_exception();
        }
        if (made.outcome.error != nullptr)
            co_return;
        co_await call(made, std::move(handler), std::move(in), context);
        co_await stop(app);
    }

    asio::awaitable<void> stop(lifespan& app)
    {
        std::string wrong;
        try {
            co_await app.stop(options_.stop_within);
        } catch (const std::exception& e) {
            wrong = e.what();
        } catch (...) {
            wrong = "no std::exception";
        }
        if (!wrong.empty())
            options_.log("the lifespan, at its end: " + wrong);
    }

    // A cancellation does not reach this: the response is there, and is sent. True: there was one,
    // before or meanwhile.
    asio::awaitable<bool> answer(const invocation& in, const response_under_way& made)
    {
        co_await asio::this_coro::throw_if_cancelled(false);
        asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
        auto cancelled = caller.cancelled();
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation(),
                                                           asio::disable_cancellation());
        if (made.stream != nullptr)
            made.stream->close();
        std::optional<error_report> failed;
        if (made.outcome.error != nullptr)
            failed = report_of(made.outcome.error);
        try {
            if (made.stream != nullptr)
                co_await end_stream(in, *made.stream, made, failed);
            else if (failed)
                co_await api_.fail(in, *failed);
            else
                co_await api_.respond(in, made.outcome.response);
        } catch (const boost::system::system_error& e) {
            options_.log("invocation " + std::string(in.id()) + ": " + e.what());
        }
        caller = co_await asio::this_coro::cancellation_state;
        cancelled |= caller.cancelled();
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
        co_await asio::this_coro::throw_if_cancelled(true);
        co_return cancelled != asio::cancellation_type::none;
    }

    // All of it, until `stops`, on one context.
    asio::awaitable<void> run(std::shared_ptr<any_handler> handler, asio::io_context& context,
                              const std::atomic<bool>& stops, bool is_frozen_between)
    {
        bool cancelled = false;
        while (!stops && !cancelled) {
            const auto in = co_await next(is_frozen_between);
            co_await asio::this_coro::throw_if_cancelled(false); // it is taken, so it is answered
            response_under_way made;
            if (options_.lifespan != nullptr &&
                options_.lifespan->mode() == lifespan_mode::per_invocation)
                co_await call_within(*options_.lifespan, made, handler, in, context);
            else
                co_await call(made, handler, in, context);
            cancelled = co_await answer(in, made);
        }
    }

private:
#if defined(BOOST_HAS_UNISTD_H)
    static void set_trace_variable(const std::string& trace)
    {
        constexpr const char* name = "_X_AMZN_TRACE_ID";
        if (trace.empty())
            ::unsetenv(name);
        else
            ::setenv(name, trace.c_str(), 1);
    }
#endif

    asio::awaitable<void> end_stream(const invocation& in, response_stream& stream,
                                     const response_under_way& made,
                                     std::optional<error_report>& failed)
    {
        if (!stream.has_begun() && stream.is_broken() && !failed)
            failed = report_of(std::make_exception_ptr(
                boost::system::system_error(make_error_code(errc::stream_broken))));
        if (!stream.has_begun() && failed) {
            co_await api_.fail(in, *failed);
            co_return;
        }
        if (!stream.has_begun())
            co_await response_stream::write_nothing(made.stream);
        if (stream.is_broken())
            options_.log("invocation " + std::string(in.id()) +
                         ": the streamed response is broken off" +
                         (failed ? ": " + failed->body : std::string()));
        co_await stream.end(failed ? &*failed : nullptr);
    }

    const runtime_options& options_;
    runtime_api api_;
};

} // namespace loopsafe::lambda::detail

#endif
