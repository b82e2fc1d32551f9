// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_INVOCATION_HPP
#define LOOPSAFE_LAMBDA_INVOCATION_HPP

#include <loopsafe/lambda/detail/invocation_state.hpp>
#include <loopsafe/lambda/error.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::lambda {

/// One event that a function was invoked with, and what the service says about it.
///
/// A handle: copies share the invocation, and keep it, so views of its parts are valid for as long
/// as any copy exists. What the service did not say is empty.
/// Thread safety: distinct objects safe, also of the same invocation; shared objects safe for const
/// members.
class invocation {
public:
    /// None: everything is empty.
    invocation() noexcept = default;

    /// The payload, as it came: JSON for most sources of events, but nobody has checked it.
    std::string_view event() const noexcept
    {
        return state_ != nullptr ? std::string_view(state_->event) : std::string_view();
    }

    /// The number of the request, which the logs of AWS show.
    std::string_view id() const noexcept { return text(&detail::invocation_state::id); }
    std::string_view function_arn() const noexcept
    {
        return text(&detail::invocation_state::function_arn);
    }
    /// The X-Ray trace, as in the header `X-Amzn-Trace-Id`.
    std::string_view trace() const noexcept { return text(&detail::invocation_state::trace); }
    /// The tenant, where functions are isolated by tenant.
    std::string_view tenant() const noexcept { return text(&detail::invocation_state::tenant); }
    /// JSON, which the caller of the function has written: nobody has checked it.
    std::string_view client_context() const noexcept
    {
        return text(&detail::invocation_state::client_context);
    }
    /// JSON.
    std::string_view cognito_identity() const noexcept
    {
        return text(&detail::invocation_state::cognito_identity);
    }

    /// When the service gives up. None: the service set no time.
    std::optional<std::chrono::steady_clock::time_point> due() const noexcept
    {
        return state_ != nullptr ? state_->due : std::nullopt;
    }

    /// The time until then, not less than 0; the longest there is if there is no such time.
    std::chrono::nanoseconds left() const noexcept
    {
        const auto at = due();
        if (!at)
            return std::chrono::nanoseconds::max();
        const auto now = std::chrono::steady_clock::now();
        return std::max<std::chrono::nanoseconds>(*at - now, std::chrono::nanoseconds(0));
    }

private:
    friend struct detail::invocation_access;
    explicit invocation(detail::inherited_ref of) noexcept
        : of_(std::move(of)), state_(dynamic_cast<const detail::invocation_state*>(of_.get()))
    {
    }

    std::string_view text(std::string_view detail::invocation_state::* part) const noexcept
    {
        return state_ != nullptr ? state_->*part : std::string_view();
    }

    detail::inherited_ref of_;
    const detail::invocation_state* state_ = nullptr;
};

namespace detail {

struct invocation_access {
    static invocation make(inherited_ref of) noexcept { return invocation(std::move(of)); }
    static const inherited_ref& ref(const invocation& of) noexcept { return of.of_; }
    static const invocation_state* state(const invocation& of) noexcept { return of.state_; }
};

} // namespace detail

/// The invocation that the calling coroutine belongs to: it is the handler, or was started, by
/// whatever way, on the executor of a coroutine that belongs to it: `co_spawn`, `spawn()`, a task
/// of a scope, or through a strand of that executor. What runs on another executor, as on a worker
/// thread or on the home of another resource, does not belong to it.
///
///     const auto in = co_await lambda::this_invocation();
///
/// Errors: `no_invocation` (as `system_error`).
inline asio::awaitable<invocation> this_invocation()
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    auto mine = detail::invocation_access::make(loopsafe::detail::inherited_from(executor));
    if (detail::invocation_access::state(mine) == nullptr)
        throw boost::system::system_error(make_error_code(errc::no_invocation));
    co_return mine;
}

} // namespace loopsafe::lambda

#endif
