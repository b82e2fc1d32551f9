// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_CLOSING_HPP
#define LOOPSAFE_RUN_DETAIL_CLOSING_HPP

#include <loopsafe/async/detail/cancellable.hpp>
#include <loopsafe/async/detail/is_awaitable.hpp>
#include <loopsafe/async/detail/is_cancellation.hpp>
#include <loopsafe/async/detail/timer.hpp>
#include <loopsafe/error.hpp>
#include <loopsafe/run/detail/own_coroutine.hpp>
#include <loopsafe/run/detail/scope.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

// Closes a resource once its body has ended: with().
namespace loopsafe::detail {

namespace asio = boost::asio;

template <class Resource>
concept closes_in_time = !requires(Resource& r) {
    r.async_close();
} && requires(Resource& r, std::chrono::milliseconds limit) { r.async_close(limit); };

template <class Resource>
concept closes_asynchronously =
    closes_in_time<Resource> || requires(Resource& r) { r.async_close(); };

// By close(), unless it is closed already: all that a frame can do which is destroyed.
template <class Resource>
struct closed_at_the_end {
    Resource& resource;
    bool is_closed = false;

    void now() noexcept
    {
        is_closed = true;
        try {
            resource.close();
        } catch (...) { // there is an error to tell of already, or nobody to tell it
        }
    }
    ~closed_at_the_end()
    {
        if (!is_closed)
            now();
    }
};

// Where a resource does not keep to a limit itself. The timer's handler may outlive it.
template <class Resource>
struct close_limit {
    close_limit(closed_at_the_end<Resource>& c, const asio::any_io_executor& executor)
        : closed(c), timer(executor)
    {
    }

    static void begin(const std::shared_ptr<close_limit>& limit, std::chrono::milliseconds within)
    {
        expire_after(limit->timer, within);
        limit->timer.async_wait([limit](const boost::system::error_code& ec) {
            if (ec || limit->ended)
                return;
            limit->expired = true;
            limit->closed.now();
            limit->cancel.emit(asio::cancellation_type::terminal);
        });
    }

    struct ending {
        close_limit& limit;
        ~ending()
        {
            limit.ended = true;
            cancel_quietly(limit.timer);
        }
    };

    closed_at_the_end<Resource>& closed;
    asio::steady_timer timer;
    cancellable cancel;
    bool ended = false;
    bool expired = false;
};

// Null: what the resource gives is no awaitable<void>.
template <class Operation>
asio::awaitable<void> as_awaitable(Operation operation)
{
    if constexpr (std::is_same_v<Operation, asio::awaitable<void>>)
        return operation;
    else
        return [](Operation o) -> asio::awaitable<void> {
            co_await std::move(o);
        }(std::move(operation));
}

template <class Resource>
asio::awaitable<void> close_as_it_does(Resource& resource, std::chrono::milliseconds limit)
{
    if constexpr (closes_in_time<Resource>)
        return as_awaitable(resource.async_close(limit));
    else
        return as_awaitable(resource.async_close());
}

template <class Resource>
asio::awaitable<void> close_in_time(std::shared_ptr<close_limit<Resource>> limit,
                                    std::chrono::milliseconds within)
{
    const typename close_limit<Resource>::ending at_the_end{*limit};
    close_limit<Resource>::begin(limit, within);
    auto closing = close_as_it_does(limit->closed.resource, within);
    co_await run_cancellable(std::move(closing), limit->cancel);
}

// Null where none is needed.
template <class Resource>
std::shared_ptr<close_limit<Resource>> limit_of_closing(closed_at_the_end<Resource>& closed,
                                                        const asio::any_io_executor& executor,
                                                        std::chrono::milliseconds within)
{
    if (closes_in_time<Resource> || within == never)
        return nullptr;
    return std::make_shared<close_limit<Resource>>(closed, executor);
}

template <class Resource>
asio::awaitable<void> begin_closing(closed_at_the_end<Resource>& closed,
                                    const std::shared_ptr<close_limit<Resource>>& limit,
                                    std::chrono::milliseconds within)
{
    return limit != nullptr ? close_in_time(limit, within)
                            : close_as_it_does(closed.resource, within);
}

template <class Resource>
asio::cancellation_slot slot_of(const std::shared_ptr<close_limit<Resource>>& limit)
{
    return limit != nullptr ? limit->cancel.slot() : asio::cancellation_slot();
}

// Resource: a reference to an lvalue, or an object.
template <class Resource, class Body>
auto run_with(Resource resource, Body body, std::chrono::milliseconds within)
    -> std::invoke_result_t<Body&, std::remove_reference_t<Resource>&>
{
    using resource_type = std::remove_reference_t<Resource>;
    using result = typename std::invoke_result_t<Body&, resource_type&>::value_type;
    constexpr bool has_value = !std::is_void_v<result>;
    closed_at_the_end<resource_type> closed{resource};
    std::optional<std::conditional_t<has_value, result, bool>> value;
    std::exception_ptr error;
    std::exception_ptr close_error;
    try {
        if constexpr (has_value)
            value.emplace(co_await std::invoke(body, resource));
        else
            co_await std::invoke(body, resource);
    } catch (...) {
        error = std::current_exception();
    }
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    try {
        if (!closes_asynchronously<resource_type> || within <= std::chrono::milliseconds::zero()) {
            closed.is_closed = true;
            resource.close();
        } else if constexpr (closes_asynchronously<resource_type>) {
            // A coroutine of its own, without a slot: the caller's cancellation, which would throw
            // at each step of this one, does not reach it.
            const auto limit = limit_of_closing(closed, executor, within);
            auto own = begin_closing(closed, limit, within);
            try {
                co_await run_by_itself(executor, own, slot_of(limit));
            } catch (...) {
                close_error = std::current_exception();
            }
            if (limit != nullptr && limit->expired)
                close_error = std::make_exception_ptr(
                    boost::system::system_error(make_error_code(errc::timed_out), "with: closing"));
            closed.is_closed = closed.is_closed || close_error == nullptr;
        }
    } catch (...) {
        close_error = std::current_exception();
    }
    if (!closed.is_closed)
        closed.now();
    const asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
    const bool cancelled = throws && caller.cancelled() != asio::cancellation_type::none;
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (error != nullptr && !(cancelled && is_cancellation(error))) {
        if (close_error != nullptr)
            report_quietly(executor, close_error);
        std::rethrow_exception(error);
    }
    if (close_error != nullptr)
        std::rethrow_exception(close_error);
    if (error != nullptr)
        std::rethrow_exception(error);
    if (cancelled)
        throw_cancelled();
    if constexpr (has_value)
        co_return std::move(*value);
}

} // namespace loopsafe::detail

#endif
