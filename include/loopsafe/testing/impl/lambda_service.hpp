// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_IMPL_LAMBDA_SERVICE_HPP
#define LOOPSAFE_TESTING_IMPL_LAMBDA_SERVICE_HPP

#include <loopsafe/testing/detail/lambda_service/core.hpp>

#include <cstdlib>

namespace loopsafe::testing {

namespace detail {

// The caller's end of an invocation.
struct invocation_news {
    using heard = invocation_call::heard;

    explicit invocation_news(std::shared_ptr<invocation_call::news> from) : news(std::move(from)) {}
    invocation_news(const invocation_news&) = delete;
    invocation_news& operator=(const invocation_news&) = delete;
    ~invocation_news()
    {
        news->look([](heard& all) { return all.unwanted = true; });
    }

    static asio::awaitable<std::optional<std::string>>
    next_chunk(std::shared_ptr<invocation_news> self)
    {
        co_await self->news->wait_until([](const heard& all) {
            return all.taken < all.chunks.size() || all.reply.has_value();
        });
        co_return self->news->look([](heard& all) {
            return all.taken < all.chunks.size() ? std::optional(all.chunks[all.taken++])
                                                 : std::nullopt;
        });
    }

    static asio::awaitable<lambda_reply> whole_reply(std::shared_ptr<invocation_news> self)
    {
        co_await self->news->wait_until([](const heard& all) { return all.reply.has_value(); });
        co_return self->news->look([](const heard& all) { return *all.reply; });
    }

    const std::shared_ptr<invocation_call::news> news;
};

} // namespace detail

inline lambda_invocation::lambda_invocation(lambda_invocation&&) noexcept = default;
inline lambda_invocation::~lambda_invocation() = default;
inline lambda_invocation::lambda_invocation(std::shared_ptr<detail::invocation_news> from) noexcept
    : news_(std::move(from))
{
}

inline boost::asio::awaitable<std::optional<std::string>> lambda_invocation::chunk()
{
    return detail::invocation_news::next_chunk(news_);
}

inline boost::asio::awaitable<lambda_reply> lambda_invocation::reply()
{
    return detail::invocation_news::whole_reply(news_);
}

inline lambda_service::lambda_service(lambda_service_options options)
    : core_(std::make_unique<detail::service_core>(std::move(options)))
{
}
inline lambda_service::~lambda_service() = default;

inline std::string lambda_service::endpoint() const
{
    return core_->address();
}

inline std::vector<std::string> lambda_service::environment(const std::string& handler) const
{
    const auto& options = core_->options;
    std::vector<std::string> all{
        "AWS_LAMBDA_RUNTIME_API=" + endpoint(),
        "AWS_LAMBDA_FUNCTION_NAME=" + options.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
        std::string("AWS_LAMBDA_INITIALIZATION_TYPE=") + (options.snap_start ? "snap-start"
                                                          : options.concurrency > 1
                                                              ? "lambda-managed-instances"
                                                              : "on-demand"),
        "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + options.function_name,
        "AWS_LAMBDA_LOG_STREAM_NAME=$LATEST",
        "AWS_REGION=eu-central-1",
        "AWS_DEFAULT_REGION=eu-central-1",
        "LAMBDA_TASK_ROOT=/var/task",
        "LAMBDA_RUNTIME_DIR=/var/runtime",
        "TZ=:UTC",
        "_HANDLER=" + handler,
    };
    if (options.concurrency > 1)
        all.push_back("AWS_LAMBDA_MAX_CONCURRENCY=" + std::to_string(options.concurrency));
    return all;
}

inline lambda_invocation lambda_service::begin(std::string_view event, const invoke_options& how)
{
    auto call = std::make_shared<detail::invocation_call>(event, how);
    lambda_invocation begun(std::make_shared<detail::invocation_news>(call->caller));
    core_->tell([core = core_.get(), call = std::move(call)]() mutable {
        core->run().begin(std::move(call));
    });
    return begun;
}

inline boost::asio::awaitable<lambda_reply> lambda_service::invoke(std::string_view event,
                                                                   const invoke_options& how)
{
    return begin(event, how).reply();
}

inline void lambda_service::look_at_clock()
{
    core_->ask([this] { core_->run().expire(core_->run().now()); });
}

inline std::vector<lambda_violation> lambda_service::violations() const
{
    return core_->ask([this] { return core_->violations; });
}

inline std::size_t lambda_service::requests(at where) const
{
    return core_->ask([&] { return core_->faults.count(where); });
}

inline std::size_t lambda_service::connections() const
{
    return core_->ask([this] { return core_->connections; });
}

inline std::vector<std::string> lambda_service::extension_errors() const
{
    return core_->ask([this] { return core_->run().extensions.errors; });
}

inline void lambda_service::fault(at where, std::size_t nth, testing::fault what)
{
    core_->ask([&] { core_->faults.plan(where, nth, what); });
}

inline void lambda_service::clear_faults()
{
    core_->ask([this] { core_->faults.clear(); });
}

inline void lambda_service::stop_listening()
{
    core_->ask([this] { core_->stop_listening(); });
}

inline void lambda_service::listen_again()
{
    core_->ask([this] { core_->listen(); });
}

inline function_process lambda_service::start(const function_options& function)
{
    auto variables = environment(function.handler);
    for (const char* name : {"PATH", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "LSAN_OPTIONS",
                             "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
        if (const char* value = std::getenv(name))
            variables.push_back(std::string(name) + "=" + value);
    }
    for (const auto& [name, value] : function.environment)
        variables.push_back(name + "=" + value);
    return core_->ask([&] {
        const auto child = core_->start(function, variables);
        return function_process(child->pid, child->news);
    });
}

inline boost::asio::awaitable<bool> lambda_service::freeze(pid_t pid)
{
    return detail::await_pledge<bool>([core = core_.get(), pid](auto when) {
        core->tell([core, pid, when] { core->freeze(pid, when); });
    });
}

inline boost::asio::awaitable<termination>
lambda_service::terminate(pid_t pid, std::chrono::milliseconds within)
{
    return detail::await_pledge<termination>([core = core_.get(), pid, within](auto when) {
        core->tell([core, pid, within, when] { core->terminate(pid, within, when); });
    });
}

inline boost::asio::awaitable<void> lambda_service::ready()
{
    co_await detail::await_pledge<bool>([core = core_.get()](auto when) {
        core->when([core] { return core->run().idle(); }, when);
    });
}

inline boost::asio::awaitable<void> lambda_service::prepared()
{
    co_await detail::await_pledge<bool>([core = core_.get()](auto when) {
        core->when([core] { return core->run().state() == detail::runtime_state::restore_ready; },
                   when);
    });
}

inline boost::asio::awaitable<lambda_reply> lambda_service::restore()
{
    auto* const core = core_.get();
    co_await prepared();
    co_return co_await detail::await_pledge<lambda_reply>(
        [core](auto when) { core->tell([core, when] { core->restore(when); }); });
}

inline void lambda_service::restart()
{
    core_->ask([this] { core_->run().forget("a restart"); });
}

} // namespace loopsafe::testing

#endif
