// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CLOCK_HPP
#define LOOPSAFE_POOL_CLOCK_HPP

#include <loopsafe/pool/clock_reading.hpp>

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <ctime>

namespace loopsafe {

/// The clocks of the machine.
///
/// A pool reads `cheap()` once per acquire (5 ns on Linux), and `read()` (three clocks, 60 ns) only
/// if a second has passed since the last time. Tests can use `testing::manual_clock` instead.
/// Thread safety: safe.
struct pool_clock {
    using timer = boost::asio::steady_timer;

    /// The coarse wall clock: the only one that continues through every kind of freeze. If it
    /// jumps, the pool reads all three clocks.
    static std::chrono::nanoseconds cheap() noexcept
    {
#if defined(CLOCK_REALTIME_COARSE)
        return of(CLOCK_REALTIME_COARSE);
#else
        return std::chrono::system_clock::now().time_since_epoch();
#endif
    }

    static clock_reading read() noexcept
    {
#if defined(CLOCK_BOOTTIME)
        return {of(CLOCK_MONOTONIC), of(CLOCK_BOOTTIME), cheap()};
#else
        const auto monotonic = std::chrono::steady_clock::now().time_since_epoch();
        return {monotonic, monotonic, cheap()};
#endif
    }

private:
#if defined(CLOCK_REALTIME)
    static std::chrono::nanoseconds of(clockid_t clock) noexcept
    {
        std::timespec now{};
        ::clock_gettime(clock, &now);
        return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    }
#endif
};

} // namespace loopsafe

#endif
