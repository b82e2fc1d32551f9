// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_SERVE_CONCURRENTLY_HPP
#define LOOPSAFE_LAMBDA_IMPL_SERVE_CONCURRENTLY_HPP

#include <loopsafe/run/task_scope.hpp>

#include <stdexcept>
#include <string>
#include <thread>

namespace loopsafe::lambda::detail {

// One context of several, with its thread's pollers.
class runtime_core::station {
public:
    station(runtime_core& core, std::shared_ptr<any_handler> handler, std::size_t pollers)
        : core_(core), handler_(std::move(handler))
    {
        for (std::size_t i = 0; i < pollers; ++i)
            own_.push_back(std::make_unique<poller>(core.options_, *core.to_));
        for (const auto& each : own_)
            pollers_.push_back(each.get());
    }

    std::span<poller* const> pollers() const noexcept { return pollers_; }

    // On a context of its own, which ends before what is on it uses.
    void run()
    {
        auto loop = std::make_unique<context_loop>(core_.options_.log, "lambda");
        const auto end = [&] {
            if (loop->is_given_up())
                core_.say_given_up();
            close();
            loop.reset();
        };
        try {
            const reached by_stop(core_, *loop);
            loop->log_failed_task(
                loop->run([&] { return poll(loop->context()); }, true, core_.options_.stop_within));
        } catch (...) {
            end();
            throw;
        }
        end();
    }

    asio::awaitable<void> poll(asio::io_context& on)
    {
        co_await core_.start_app(*pollers_.front());
        co_await core_.stop_app_after(poll_all(on), *pollers_.front());
    }

    asio::awaitable<void> poll_all(asio::io_context& on)
    {
        auto start = [this, &on](task_scope& tasks) -> asio::awaitable<void> {
            for (auto* const p : pollers_)
                tasks.start([this, &on, p] { return p->run(handler_, on, core_.stops_, false); });
            co_return;
        };
        co_await with_tasks(std::move(start));
    }

    void close() noexcept
    {
        for (auto* const each : pollers_)
            each->api().client().close();
    }

private:
    runtime_core& core_;
    const std::shared_ptr<any_handler> handler_;
    std::vector<std::unique_ptr<poller>> own_;
    std::vector<poller*> pollers_;
};

inline int runtime_core::serve_concurrently(std::shared_ptr<any_handler> handler)
{
    const auto most = static_cast<std::size_t>(
        std::max(std::atoi(variable("AWS_LAMBDA_MAX_CONCURRENCY").c_str()), 1));
    if (most == 1)
        return serve_on_kept(std::move(handler));
    return guard([&] {
        const auto contexts = std::clamp<std::size_t>(options_.contexts, 1, most);
        if (most > contexts && options_.lifespan != nullptr &&
            options_.lifespan->mode() == lifespan_mode::per_invocation)
            throw std::invalid_argument(
                "the lifespan is to start and stop around each invocation, but " +
                std::to_string(most) + " invocations at once run on " + std::to_string(contexts) +
                " contexts: use lifespan_mode::once_per_context, or as many `contexts` as "
                "AWS_LAMBDA_MAX_CONCURRENCY says");
        const auto share = [&](std::size_t i) { return most / contexts + (i < most % contexts); };
        poller first(options_, *to_);
        poller* const only[] = {&first};
        run_kept(only, [&] { return begin(first, false); }, false);
        first.api().client().close();
        std::vector<loopsafe::detail::first_error> errors(contexts);
        {
            std::vector<std::jthread> threads;
            errors[0].try_to([&] {
                for (std::size_t i = 1; i < contexts; ++i) {
                    threads.emplace_back([&, i, copy = handler->copy()] {
                        errors[i].try_to([&] { station(*this, copy, share(i)).run(); });
                        stop(); // all end together
                    });
                }
                station here(*this, handler, share(0));
                run_kept(here.pollers(), [&] { return here.poll(loop_->context()); }, true);
            });
            stop(); // also where not all have begun
        }
        for (const auto& each : errors)
            each.rethrow();
    });
}

} // namespace loopsafe::lambda::detail

#endif
