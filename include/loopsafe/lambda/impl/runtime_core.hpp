// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_RUNTIME_CORE_HPP
#define LOOPSAFE_LAMBDA_IMPL_RUNTIME_CORE_HPP

namespace loopsafe::lambda::detail {

// There is nobody to tell that a log fails.
inline runtime_options with_quiet_log(runtime_options options)
{
    options.log = [log = std::move(options.log)](std::string_view line) {
        try {
            if (log)
                log(line);
        } catch (...) {
        }
    };
    return options;
}

inline runtime_core::runtime_core(runtime_options options)
    : options_(with_quiet_log(std::move(options))),
      loop_(std::make_unique<context_loop>(options_.log, "lambda"))
{
}

inline runtime_core::~runtime_core()
{
    end_kept(); // before what its coroutines use
}

inline runtime_core::reached::reached(runtime_core& core, context_loop& loop)
    : core_(core), loop_(loop)
{
    const std::lock_guard lock(core_.mutex_);
    core_.loops_.push_back(&loop_);
    if (core_.give_up_)
        loop_.cancel(*core_.give_up_);
}

inline runtime_core::reached::~reached()
{
    const std::lock_guard lock(core_.mutex_);
    std::erase(core_.loops_, &loop_);
}

inline runtime_core::sigterm::sigterm(runtime_core& core, context_loop& loop)
{
    if (!core.options_.ends_on_sigterm)
        return;
    signals_.emplace(loop.context(), SIGTERM);
    signals_->async_wait([&core](const error_code& ec, int) {
        if (!ec)
            core.stop();
    });
}

// What is bound to the context goes before it.
inline void runtime_core::end_kept() noexcept
{
    sigterm_.reset();
    extension_.reset();
    loop_.reset();
}

inline void runtime_core::stop() noexcept
{
    const std::lock_guard lock(mutex_);
    stops_ = true;
    if (!give_up_)
        give_up_ = loopsafe::detail::later(clock::now(), options_.stop_within);
    for (auto* each : loops_)
        each->cancel(*give_up_);
}

inline void runtime_core::find_service()
{
    constexpr const char* by_service = "AWS_LAMBDA_RUNTIME_API";
    if (options_.endpoint.empty())
        to_.emplace(variable(by_service), by_service);
    else
        to_.emplace(options_.endpoint, "runtime_options::endpoint");
}

// What the start and the loops throw becomes an exit code. SIGTERM is waited for on the context
// that is kept as long as anything is served: where no context is run, it is not lost, and ends
// nothing.
template <class Serve>
int runtime_core::guard(const Serve& serve)
{
    if (stops_)
        return 0;
    struct watching {
        explicit watching(runtime_core& c) : core(c) { core.sigterm_.emplace(core, *core.loop_); }
        watching(const watching&) = delete;
        ~watching() { core.sigterm_.reset(); }
        runtime_core& core;
    };
    try {
        const watching for_sigterm(*this);
        if (!to_)
            find_service();
        serve();
    } catch (const start_failed& e) {
        return e.exit_code;
    } catch (const boost::system::system_error& e) {
        if (stops_ && e.code() == asio::error::operation_aborted)
            return 0;
        say(e.what());
        return 1;
    } catch (...) {
        say(message_of(std::current_exception()));
        return 1;
    }
    return 0;
}

inline void runtime_core::say_given_up() const
{
    say("a handler, a hook, or a task that they started, ignored its cancellation: it did not end "
        "within `stop_within`, and is destroyed");
}

// Runs on the context that is kept, where stop() and SIGTERM reach it. What does not end then is
// destroyed with its context, before what it uses.
template <class Main>
void runtime_core::run_kept(std::span<poller* const> pollers, const Main& main, bool ends_tasks)
{
    const auto end = [&] {
        if (!loop_->is_given_up())
            return;
        say_given_up();
        for (auto* each : pollers)
            each->api().client().close();
        end_kept();
        loop_ = std::make_unique<context_loop>(options_.log, "lambda");
    };
    try {
        std::optional<reached> by_stop;
        if (!stops_)
            by_stop.emplace(*this, *loop_);
        else // what is to be said before the end
            loop_->give_up_at(loopsafe::detail::later(clock::now(), options_.stop_within));
        const auto within = ends_tasks ? options_.stop_within : never;
        loop_->log_failed_task(loop_->run(main, ends_tasks, within));
    } catch (...) {
        end();
        throw;
    }
    end();
}

inline int runtime_core::serve_on_kept(std::shared_ptr<any_handler> handler)
{
    return guard([&] {
        poller p(options_, *to_);
        poller* const only[] = {&p};
        run_kept(
            only,
            [&]() -> asio::awaitable<void> {
                co_await begin(p, true);
                co_await stop_app_after(p.run(handler, loop_->context(), stops_, true), p);
            },
            true);
    });
}

} // namespace loopsafe::lambda::detail

#endif
