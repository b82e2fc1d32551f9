// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CLOCK_READING_HPP
#define LOOPSAFE_POOL_CLOCK_READING_HPP

#include <loopsafe/fwd.hpp>

#include <chrono>

namespace loopsafe {

/// One moment, as read from three clocks, in nanoseconds.
///
/// A frozen machine stops some clocks and not others: suspending stops the monotonic one; a
/// snapshot that is restored later also stops the boot-time one. So an age is the largest of the
/// three differences.
struct clock_reading {
    std::chrono::nanoseconds monotonic{};
    std::chrono::nanoseconds boot{};
    std::chrono::nanoseconds wall{};

    /// The time from `earlier` to this moment; never negative.
    std::chrono::nanoseconds since(const clock_reading& earlier) const noexcept
    {
        auto age = std::chrono::nanoseconds::zero();
        for (const auto difference :
             {monotonic - earlier.monotonic, boot - earlier.boot, wall - earlier.wall}) {
            if (difference > age)
                age = difference;
        }
        return age;
    }
};

} // namespace loopsafe

#endif
