// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_RUNTIME_START_HPP
#define LOOPSAFE_LAMBDA_IMPL_RUNTIME_START_HPP

#include <boost/asio/detached.hpp>

#include <array>

namespace loopsafe::lambda::detail {

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
    if (!has_app() || stops_)
        co_return;
    std::exception_ptr error;
    try {
        co_await options_.lifespan->start(options_.stop_within);
    } catch (...) {
        error = std::current_exception();
    }
    if (error == nullptr)
        co_return;
    if (stops_ && loopsafe::detail::is_cancellation(error)) // it has not failed
        std::rethrow_exception(error);
    const auto failed = report_of(error);
    say("the start has failed: " + failed.body);
    co_await p.api().fail_start("/init/error", failed);
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
        say("a hook before the snapshot has failed: " + failed->body);
        co_await p.api().fail_start("/init/error", *failed);
        throw start_failed{64};
    }
    co_await p.api().restored();
    process_restored();
    p.api().client().close(); // every copy has this one
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
        say("a hook after the restore has failed: " + failed->body);
        co_await p.api().fail_start("/restore/error", *failed);
        throw start_failed{65};
    }
}

} // namespace loopsafe::lambda::detail

#endif
