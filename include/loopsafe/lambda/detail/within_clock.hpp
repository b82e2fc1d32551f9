// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_WITHIN_CLOCK_HPP
#define LOOPSAFE_LAMBDA_DETAIL_WITHIN_CLOCK_HPP

#include <algorithm>
#include <chrono>

// Times that options say, which may be `never`, or nothing: they end where the clock does.
namespace loopsafe::lambda::detail {

using steady_time = std::chrono::steady_clock::time_point;

inline steady_time later(steady_time from, std::chrono::milliseconds by) noexcept
{
    using std::chrono::milliseconds;
    const auto most = std::chrono::duration_cast<milliseconds>(steady_time::max() - from);
    return from + std::clamp(by, milliseconds::zero(), most);
}

inline steady_time earlier(steady_time from, std::chrono::milliseconds by) noexcept
{
    using std::chrono::milliseconds;
    const auto most = std::chrono::duration_cast<milliseconds>(from.time_since_epoch());
    return from - std::clamp(by, milliseconds::zero(), most);
}

} // namespace loopsafe::lambda::detail

#endif
