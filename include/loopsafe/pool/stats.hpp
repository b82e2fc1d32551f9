// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_STATS_HPP
#define LOOPSAFE_POOL_STATS_HPP

#include <loopsafe/pool/close_reason.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace loopsafe {

/// A snapshot of one pool, all contexts together. The counters never decrease.
struct pool_stats {
    std::size_t idle = 0;       ///< connections on the shelves
    std::size_t leased = 0;     ///< connections held by a lease
    std::size_t connecting = 0; ///< connections being made, probed or reset
    std::size_t waiting = 0;    ///< callers in the queue
    std::size_t parked = 0;     ///< connections between two contexts (`carry_over_pool`)

    std::uint64_t acquired = 0;         ///< leases given out
    std::uint64_t reused = 0;           ///< of these, with an existing connection
    std::uint64_t connects = 0;         ///< connections made
    std::uint64_t connect_failures = 0; ///< attempts that failed, timed out or were cancelled
    std::uint64_t refused = 0;          ///< calls from a wrong, dead or missing context
    std::uint64_t acquire_timeouts = 0;
    std::uint64_t queue_full = 0;

    // Of `carry_over_pool`: every connection ever parked is adopted, dropped or still parked.
    std::uint64_t times_parked = 0; ///< connections detached from a dying context
    std::uint64_t adopted = 0;      ///< of these, attached to the next
    std::uint64_t dropped = 0;      ///< of these, closed; also counted by reason below

    /// Connections closed, by `close_reason`.
    std::array<std::uint64_t, close_reason_count> closed_because{};

    std::uint64_t closed(close_reason why) const noexcept
    {
        return closed_because[static_cast<std::size_t>(why)];
    }

    std::uint64_t closed() const noexcept
    {
        std::uint64_t sum = 0;
        for (const auto n : closed_because)
            sum += n;
        return sum;
    }
};

} // namespace loopsafe

#endif
