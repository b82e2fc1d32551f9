// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_RUNTIME_CORE_HPP
#define LOOPSAFE_LAMBDA_DETAIL_RUNTIME_CORE_HPP

#include <loopsafe/async/detail/first_error.hpp>
#include <loopsafe/async/detail/within_clock.hpp>
#include <loopsafe/lambda/detail/context_loop.hpp>
#include <loopsafe/lambda/detail/handler.hpp>
#include <loopsafe/lambda/detail/poller.hpp>
#include <loopsafe/lambda/options.hpp>

#include <boost/asio/signal_set.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// A runtime, without the type of its handler.
class runtime_core {
public:
    explicit runtime_core(runtime_options options);
    runtime_core(const runtime_core&) = delete;
    runtime_core& operator=(const runtime_core&) = delete;
    ~runtime_core();

    asio::any_io_executor get_executor() { return loop_->context().get_executor(); }

    // Each returns the exit code of the process.
    int serve_on_kept(std::shared_ptr<any_handler> handler);
    int serve_on_fresh(std::shared_ptr<any_handler> handler);
    int serve_concurrently(std::shared_ptr<any_handler> handler);

    // Thread safety: safe.
    void stop() noexcept; // it needs no memory

private:
    using clock = context_loop::clock;

    // A loop that stop() reaches.
    class reached {
    public:
        reached(runtime_core& core, context_loop& loop);
        reached(const reached&) = delete;
        ~reached();

    private:
        runtime_core& core_;
        context_loop& loop_;
    };

    // Ends the runtime at SIGTERM, when its context is run.
    class sigterm {
    public:
        sigterm(runtime_core& core, context_loop& loop);

    private:
        std::optional<asio::signal_set> signals_;
    };

    class station;

    void end_kept() noexcept;
    void find_service();
    void say_given_up() const;
    template <class Serve>
    int guard(const Serve& serve);
    template <class Main>
    void run_kept(std::span<poller* const> pollers, const Main& main, bool ends_tasks);
    response_under_way call_on_fresh(poller& p, const std::shared_ptr<any_handler>& handler,
                                     const invocation& in);
    asio::awaitable<void> begin(poller& p, bool starts_once);
    bool has_app() const noexcept;
    asio::awaitable<void> start_app(poller& p);
    asio::awaitable<void> stop_app_after(asio::awaitable<void> serving, poller& p);
    asio::awaitable<void> take_snapshot(poller& p);
    asio::awaitable<void> register_extension();
    void say(std::string_view line) const { options_.log(line); }

    const runtime_options options_;
    std::optional<endpoint> to_;
    std::atomic<bool> stops_{false};
    std::mutex mutex_;
    std::vector<context_loop*> loops_;
    std::optional<clock::time_point> give_up_;
    std::optional<api_client> extension_; // beside the context that it is on
    std::unique_ptr<context_loop> loop_;
    std::optional<sigterm> sigterm_; // on that
};

} // namespace loopsafe::lambda::detail

#include <loopsafe/lambda/impl/runtime_core.hpp>
#include <loopsafe/lambda/impl/runtime_start.hpp>
#include <loopsafe/lambda/impl/serve_concurrently.hpp>
#include <loopsafe/lambda/impl/serve_on_fresh.hpp>

#endif
