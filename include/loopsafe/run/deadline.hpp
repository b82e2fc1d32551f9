// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DEADLINE_HPP
#define LOOPSAFE_RUN_DEADLINE_HPP

#include <loopsafe/pool/clock.hpp>

#include <algorithm>
#include <chrono>
#include <type_traits>

namespace loopsafe {

namespace detail {

// The coarse clock ticks, and clocks are adjusted: less than this is no freeze.
inline constexpr auto clocks_apart = std::chrono::milliseconds(100);

} // namespace detail

/// When something must have ended: made of a duration from now, or of a time of the steady clock.
///
/// It remembers when it was made, on three clocks, so it also passes while the machine is frozen:
/// see `clock_reading`. So a wall clock that somebody moves on by an hour is an hour to it. What
/// freezes for less than 0.1 s may go unnoticed.
/// Thread safety: a value. `Clock` is for tests: `testing::manual_clock`.
template <class Clock>
class basic_deadline {
    using nanoseconds = std::chrono::nanoseconds;

public:
    using clock_type = Clock;
    using time_point = typename Clock::timer::time_point;

    /// Never.
    constexpr basic_deadline() noexcept = default;

    /// So long from now: 0 or less has passed, and more than 292 years are never.
    template <class Rep, class Period>
    basic_deadline(std::chrono::duration<Rep, Period> from_now) noexcept
    {
        using seconds = std::chrono::duration<double>;
        if (seconds(from_now) < seconds(nanoseconds::max())) {
            made_ = Clock::read();
            limit_ = from_now > from_now.zero() ? std::chrono::duration_cast<nanoseconds>(from_now)
                                                : nanoseconds::zero();
        }
    }

    /// At that time. `time_point::max()` is never.
    basic_deadline(time_point at) noexcept
    {
        if (at != time_point::max()) {
            made_ = Clock::read();
            const auto then = std::chrono::duration_cast<nanoseconds>(at.time_since_epoch());
            limit_ = then > made_.monotonic ? then - made_.monotonic : nanoseconds::zero();
        }
    }

    bool is_never() const noexcept { return limit_ == nanoseconds::max(); }

    /// What is left at that moment; 0 or less: it has passed. Precondition: it is not never.
    nanoseconds left(const clock_reading& now) const noexcept
    {
        const auto by_timer = now.monotonic - made_.monotonic;
        const auto most = now.since(made_);
        return limit_ - (most > by_timer + detail::clocks_apart ? most : by_timer);
    }

    /// What is left now, at least 0; `nanoseconds::max()` where it is never.
    nanoseconds left() const noexcept
    {
        return is_never() ? limit_ : std::max(left(Clock::read()), nanoseconds::zero());
    }

private:
    clock_reading made_;
    nanoseconds limit_ = nanoseconds::max();
};

static_assert(std::is_trivially_copyable_v<deadline>);

} // namespace loopsafe

#endif
