// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_WITHIN_TOTAL_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_WITHIN_TOTAL_HPP

#include <loopsafe/async/detail/deadline.hpp>
#include <loopsafe/http/detail/call.hpp>

#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <utility>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

// False: the step was ended, since it was still running then.
template <class Timer>
asio::awaitable<bool> finishes_by(std::chrono::nanoseconds due, asio::awaitable<void> step)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto left = due - Timer::clock_type::now().time_since_epoch();
    const auto done = co_await loopsafe::detail::finish_within<Timer>(
        executor, std::chrono::ceil<std::chrono::milliseconds>(left), std::move(step));
    if (done.error == nullptr)
        co_return true;
    if (!done.expired)
        std::rethrow_exception(done.error);
    co_return false;
}

// Ends the step when the time for the whole request is over.
template <class Timer>
asio::awaitable<void> within_total(call& c, asio::awaitable<void> step)
{
    if (!c.due) {
        co_await std::move(step);
        co_return;
    }
    const bool in_time = co_await finishes_by<Timer>(*c.due, std::move(step));
    if (in_time) // GCC 12 loses its way with the wait in the condition
        co_return;
    c.answer.seen.timeout = "total";
    c.answer.seen.allowed = c.times->total;
    throw failure_of(c, errc::timed_out);
}

} // namespace loopsafe::http::detail

#endif
