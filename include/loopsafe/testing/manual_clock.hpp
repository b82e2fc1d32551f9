// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_MANUAL_CLOCK_HPP
#define LOOPSAFE_TESTING_MANUAL_CLOCK_HPP

#include <loopsafe/pool/clock_reading.hpp>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/config.hpp>

#include <atomic>
#include <chrono>
#include <memory>

namespace loopsafe::testing {

/// A clock that moves only when the test moves it, for the `Clock` parameter of the pool policies:
/// `connection_pool<my_connector, basic_keep_alive_pool<pool_mutex, testing::manual_clock>>`.
///
/// There is one for the process: call `reset()` at the start of a test.
/// Thread safety: safe.
class BOOST_SYMBOL_VISIBLE manual_clock {
public:
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<manual_clock>;
    static constexpr bool is_steady = true;

    struct wait_traits {
        // Asio waits this long before it looks at now() again; advance() makes it look at once.
        static duration to_wait_duration(const duration& left)
        {
            return left <= duration::zero() ? duration::zero() : duration(std::chrono::hours(1));
        }
        static duration to_wait_duration(const time_point& expiry)
        {
            return to_wait_duration(expiry - now());
        }
    };
    using timer = boost::asio::basic_waitable_timer<manual_clock, wait_traits>;

    static time_point now() noexcept { return time_point(duration(monotonic_.load())); }
    static duration cheap() noexcept { return duration(wall_.load()); }
    static clock_reading read() noexcept
    {
        ++readings_;
        return {duration(monotonic_.load()), duration(boot_.load()), duration(wall_.load())};
    }

    /// Moves all clocks. Timers of `context` that are now due complete when it next runs.
    template <class ExecutionContext>
    static void advance(ExecutionContext& context, duration by)
    {
        move(by, by, by);
        const auto poke =
            std::make_shared<boost::asio::steady_timer>(context.get_executor(), duration::zero());
        poke->async_wait([poke](const boost::system::error_code&) {});
    }

    /// Moves each clock separately, as a freeze or an administrator does.
    static void move(duration monotonic, duration boot, duration wall) noexcept
    {
        monotonic_ += monotonic.count();
        boot_ += boot.count();
        wall_ += wall.count();
    }

    /// How many times all three clocks were read since `reset()`.
    static std::size_t readings() noexcept { return readings_.load(); }

    static void reset() noexcept
    {
        const auto start = duration(std::chrono::hours(24)).count();
        monotonic_ = boot_ = wall_ = start;
        readings_ = 0;
    }

private:
    static inline std::atomic<rep> monotonic_{duration(std::chrono::hours(24)).count()};
    static inline std::atomic<rep> boot_{duration(std::chrono::hours(24)).count()};
    static inline std::atomic<rep> wall_{duration(std::chrono::hours(24)).count()};
    static inline std::atomic<std::size_t> readings_{0};
};

} // namespace loopsafe::testing

#endif
