// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_WITHIN_CLOCK_HPP
#define LOOPSAFE_ASYNC_DETAIL_WITHIN_CLOCK_HPP

#include <algorithm>
#include <chrono>

// Times that options say, which may be `never`, or nothing: they end where the clock does.
namespace loopsafe::detail {

template <class Duration>
constexpr Duration within_range(std::chrono::milliseconds span) noexcept
{
    using std::chrono::milliseconds;
    return std::clamp(span, milliseconds::zero(),
                      std::chrono::duration_cast<milliseconds>(Duration::max()));
}

// `Time` is a time point, or what has passed since the epoch of a clock.
template <class Time>
constexpr Time later(Time from, std::chrono::milliseconds by) noexcept
{
    const auto step = within_range<decltype(from - from)>(by);
    return from > Time::max() - step ? Time::max() : from + step;
}

template <class Time>
constexpr Time earlier(Time from, std::chrono::milliseconds by) noexcept
{
    const auto step = within_range<decltype(from - from)>(by);
    return from < Time::min() + step ? Time::min() : from - step;
}

} // namespace loopsafe::detail

#endif
