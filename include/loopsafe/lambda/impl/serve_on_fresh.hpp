// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_SERVE_ON_FRESH_HPP
#define LOOPSAFE_LAMBDA_IMPL_SERVE_ON_FRESH_HPP

#include <loopsafe/lambda/detail/lent_connection.hpp>

namespace loopsafe::lambda::detail {

inline response_under_way runtime_core::call_on_fresh(poller& p,
                                                      const std::shared_ptr<any_handler>& handler,
                                                      const invocation& in)
{
    response_under_way made;
    if (stops_) {
        made.outcome.error = std::make_exception_ptr(boost::system::system_error(
            asio::error::operation_aborted, "the runtime was stopped before the handler began"));
        return made;
    }
    context_loop fresh(options_.log, "invocation");
    if (in.due())
        fresh.give_up_at(*in.due());
    lent_connection connection(p, *handler, *loop_, fresh);
    std::exception_ptr error;
    std::exception_ptr of_tasks;
    try {
        const reached by_stop(*this, fresh);
        const sigterm ends(*this, fresh);
        of_tasks = fresh.run([&]() -> asio::awaitable<void> {
            if (options_.lifespan != nullptr)
                co_await p.call_within(*options_.lifespan, made, handler, in, fresh.context());
            else
                co_await p.call(made, handler, in, fresh.context());
        });
    } catch (...) { // it was given up, or there is no memory
        error = std::current_exception();
    }
    if (fresh.is_given_up())
        error = stops_ ? handler_stopped() : handler_timed_out();
    if (made.outcome.error == nullptr)
        made.outcome.error = error;
    if (made.outcome.error == nullptr)
        made.outcome.error = of_tasks;
    else
        fresh.log_failed_task(of_tasks);
    if (made.stream != nullptr)
        made.stream->close();
    connection.return_from(made.stream.get());
    return made;
}

inline int runtime_core::serve_on_fresh(std::shared_ptr<any_handler> handler)
{
    return guard([&] {
        poller p(options_, *to_);
        poller* const only[] = {&p};
        std::optional<invocation> in;
        const auto take = [&]() -> asio::awaitable<void> { in = co_await p.next(true); };
        run_kept(
            only,
            [&]() -> asio::awaitable<void> {
                co_await begin(p, false);
                co_await take();
            },
            false);
        while (in) {
            const auto answered = *std::exchange(in, std::nullopt);
            loop_->run_ready(); // SIGTERM, if it has come
            const auto made = call_on_fresh(p, handler, answered);
            run_kept(
                only,
                [&]() -> asio::awaitable<void> {
                    co_await p.answer(answered, made);
                    if (!stops_)
                        co_await take();
                },
                false);
        }
    });
}

} // namespace loopsafe::lambda::detail

#endif
