// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_RUNTIME_CORE_HPP
#define LOOPSAFE_LAMBDA_IMPL_RUNTIME_CORE_HPP

#include <loopsafe/run/task_scope.hpp>

#include <boost/asio/detached.hpp>

#include <array>
#include <thread>

namespace loopsafe::lambda::detail {

// Ends `serve()` with this code; the service was told why, if there is one.
struct start_failed {
    int exit_code;
};

inline std::string variable(const char* name)
{
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

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

inline void runtime_core::stop()
{
    const std::lock_guard lock(mutex_);
    stops_ = true;
    if (!give_up_)
        give_up_ = later(clock::now(), options_.stop_within);
    for (auto* each : loops_)
        each->cancel(*give_up_);
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
            to_.emplace(options_.endpoint.empty() ? variable("AWS_LAMBDA_RUNTIME_API")
                                                  : options_.endpoint);
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

// Before the first event.
inline asio::awaitable<void> runtime_core::begin(poller& p, bool starts_once)
{
    if (options_.ends_on_sigterm)
        co_await register_extension();
    if (starts_once)
        co_await start_app(p);
    if (variable("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start")
        co_await take_snapshot(p);
}

inline bool runtime_core::has_app() const noexcept
{
    return options_.lifespan != nullptr &&
           options_.lifespan->mode() == lifespan_mode::once_per_context;
}

inline asio::awaitable<void> runtime_core::start_app(poller& p)
{
    if (!has_app())
        co_return;
    std::optional<error_report> failed;
    try {
        co_await options_.lifespan->start(options_.stop_within);
    } catch (...) {
        failed = report_of(std::current_exception());
    }
    if (!failed)
        co_return;
    say("the start has failed: " + failed->body);
    co_await p.api().fail_start("/init/error", *failed);
    throw start_failed{1};
}

// Serves, and stops then what was started, however that ended.
inline asio::awaitable<void> runtime_core::stop_app_after(asio::awaitable<void> serving, poller& p)
{
    std::exception_ptr error;
    try {
        co_await std::move(serving);
    } catch (...) {
        error = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(false); // else nothing more would begin
    if (has_app())
        co_await p.stop(*options_.lifespan);
    if (error != nullptr)
        std::rethrow_exception(error);
}

inline asio::awaitable<void> runtime_core::register_extension()
{
    constexpr std::string_view events = R"({"events":[]})";
    extension_.emplace(*to_, options_.api_timeout);
    std::string wrong;
    std::string id;
    try {
        const std::array<api_field, 1> name{{{header::extension_name, "loopsafe"}}};
        const auto answer =
            co_await extension_->post("/2020-01-01/extension/register", name, events);
        id = answer.headers[header::extension_id];
        if (answer.status != 200)
            wrong = runtime_api::text_of(answer);
    } catch (const boost::system::system_error& e) {
        if (e.code() == asio::error::operation_aborted)
            throw;
        wrong = e.what();
    }
    if (!wrong.empty()) {
        say("no extension is registered, so the service may end this process without SIGTERM: " +
            wrong);
        co_return;
    }
    // It stays pending for as long as the process lives.
    auto wait = [this, id]() -> asio::awaitable<void> {
        try {
            const std::array<api_field, 1> mine{{{header::extension_id, id}}};
            co_await extension_->get("/2020-01-01/extension/event/next", mine);
        } catch (const boost::system::system_error&) { // the service has closed it
        }
    };
    asio::co_spawn(co_await asio::this_coro::executor, std::move(wait), asio::detached);
}

inline asio::awaitable<void> runtime_core::take_snapshot(poller& p)
{
    std::optional<error_report> failed;
    try {
        for (auto each = options_.snapshot_hooks.rbegin(); each != options_.snapshot_hooks.rend();
             ++each) {
            if (each->before)
                each->before();
        }
    } catch (...) {
        failed = report_of(std::current_exception());
    }
    if (failed) {
        failed->type = "Runtime.BeforeSnapshotError";
        co_await p.api().fail_start("/init/error", *failed);
        throw start_failed{64};
    }
    co_await p.api().restored();
    process_restored();
    p.api().client().close(); // every copy has this one
    if (extension_)
        extension_->close();
    try {
        for (const auto& each : options_.snapshot_hooks) {
            if (each.after)
                each.after();
        }
    } catch (...) {
        failed = report_of(std::current_exception());
    }
    if (failed) {
        failed->type = "Runtime.AfterRestoreError";
        co_await p.api().fail_start("/restore/error", *failed);
        throw start_failed{65};
    }
}

// Runs on the context that is kept, where stop() and SIGTERM reach it. What does not end then is
// destroyed with its context, before what it uses.
template <class Main>
void runtime_core::run_kept(std::span<poller* const> pollers, const Main& main, bool ends_tasks)
{
    const auto end = [&] {
        if (!loop_->is_given_up())
            return;
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
            loop_->give_up_at(later(clock::now(), options_.stop_within));
        loop_->log_failed_task(loop_->run(main, ends_tasks));
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

// The connection of whoever streams moves along to the context of the invocation, and back.
class runtime_core::lent_connection {
public:
    lent_connection(poller& p, const any_handler& h, context_loop& kept, context_loop& fresh)
        : client_(p.api().client()), kept_(kept), is_lent_(h.streams())
    {
        if (is_lent_)
            client_.give_back(moved(client_.take(), fresh));
    }
    lent_connection(const lent_connection&) = delete;

    // Preconditions: nothing uses it. Afterwards the fresh context may end.
    void return_from(response_stream* stream) noexcept
    {
        if (!is_lent_)
            return;
        client_.give_back(moved(client_.take(), kept_));
        if (stream != nullptr)
            stream->channel() = moved(std::exchange(stream->channel(), nullptr), kept_);
    }

private:
    // Null if it cannot be.
    std::shared_ptr<api_channel> moved(std::shared_ptr<api_channel> channel,
                                       context_loop& to) const noexcept
    {
        try {
            auto parked = channel != nullptr ? channel->detach() : std::nullopt;
            channel.reset();
            if (parked)
                return api_channel::attach(std::move(*parked), to.context().get_executor(),
                                           client_.patience());
        } catch (...) { // the next request gets a new one
        }
        return nullptr;
    }

    api_client& client_;
    context_loop& kept_;
    const bool is_lent_;
};

inline response_under_way runtime_core::call_on_fresh(poller& p,
                                                      const std::shared_ptr<any_handler>& handler,
                                                      const invocation& in)
{
    response_under_way made;
    context_loop fresh(options_.log, "invocation");
    if (in.due())
        fresh.give_up_at(*in.due());
    lent_connection connection(p, *handler, *loop_, fresh);
    std::exception_ptr error;
    try {
        const reached by_stop(*this, fresh);
        const sigterm ends(*this, fresh);
        error = fresh.run([&]() -> asio::awaitable<void> {
            if (options_.lifespan != nullptr)
                made = co_await p.call_within(*options_.lifespan, handler, in, fresh.context());
            else
                made = co_await p.call(handler, in, fresh.context());
        });
    } catch (...) { // it was given up, or there is no memory
        error = std::current_exception();
    }
    if (fresh.is_given_up())
        error = std::make_exception_ptr(function_error(
            "Runtime.HandlerTimeout", make_error_code(errc::handler_timed_out).message()));
    if (made.outcome.error == nullptr)
        made.outcome.error = error;
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
            close();
            loop.reset();
        };
        try {
            const reached by_stop(core_, *loop);
            loop->log_failed_task(loop->run([&] { return poll(loop->context()); }));
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
