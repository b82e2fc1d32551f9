// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_TIMER_HPP
#define LOOPSAFE_ASYNC_DETAIL_TIMER_HPP

#include <loopsafe/never.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

// A timer that an operation waits on.
namespace loopsafe::detail {

// A limit beyond the range of the timer's clock is no limit.
template <class Timer>
void expire_after(Timer& timer, std::chrono::milliseconds limit)
{
    using std::chrono::milliseconds;
    if (limit > std::chrono::duration_cast<milliseconds>(Timer::duration::max()))
        timer.expires_at(Timer::time_point::max());
    else
        timer.expires_after(std::max(limit, milliseconds::zero()));
}

// Asio puts its cancellation into the handler's slot before the wait can fail for want of memory.
template <class Timer, class Handler>
void begin_wait(Timer& timer, Handler&& handler)
{
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    try {
        timer.async_wait(std::forward<Handler>(handler));
    } catch (...) {
        if (slot.is_connected())
            slot.clear();
        throw;
    }
}

template <class Timer>
void cancel_quietly(Timer& timer) noexcept
{
    try {
        timer.cancel();
    } catch (...) { // declared, though never thrown by Asio's reactors
    }
}

} // namespace loopsafe::detail

#endif
