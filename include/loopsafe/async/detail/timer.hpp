// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_TIMER_HPP
#define LOOPSAFE_ASYNC_DETAIL_TIMER_HPP

#include <loopsafe/never.hpp>

#include <algorithm>
#include <chrono>

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
