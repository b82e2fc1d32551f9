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
/// A pool reads `cheap()` once for each acquire (5 ns on Linux) and `read()` (three clocks, 60 ns)
/// only when a second has passed since it last did. Tests put `testing::manual_clock` in its place.
/// Thread safety: safe.
struct pool_clock {
    using timer = boost::asio::steady_timer;

    /// The coarse wall clock: it alone goes on through every kind of freeze. Where it jumps, the
    /// pool looks at all three clocks.
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
