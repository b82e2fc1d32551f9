// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_PARKING_HPP
#define LOOPSAFE_POOL_CORE_PARKING_HPP

#include <loopsafe/pool/core/core.hpp>

#include <cstddef>
#include <utility>

namespace loopsafe::detail {

// The connections of a pool that wait for a context, without I/O: a stack, the most recently used
// on top. As with the core, the caller holds the pool's lock, and nothing allocates or throws.
class pool_parking {
public:
    explicit pool_parking(std::size_t most) noexcept : most_(most) {}

    // The idle connections of a dying context's shelf, the most recently used last.
    static pool_slot* take_idle(pool_shelf& shelf) noexcept
    {
        pool_slot* taken = nullptr;
        while (pool_slot* const slot = shelf.idle) {
            shelf.idle = std::exchange(slot->below, taken);
            slot->unlink();
            slot->state = slot_state::closing;
            taken = slot;
        }
        return taken;
    }

    // Returns the one that must make room, which counts as dropped, or null.
    pool_slot* park(pool_slot& slot) noexcept
    {
        slot.below = std::exchange(top_, &slot);
        ++parked_;
        ++times_parked_;
        if (parked_ <= most_)
            return nullptr;
        pool_slot** place = &top_;
        while ((*place)->below != nullptr)
            place = &(*place)->below;
        return drop(place);
    }

    // The next to be adopted, or null. Report the result with adopted() or not_adopted().
    pool_slot* take() noexcept
    {
        pool_slot* const slot = top_;
        if (slot != nullptr) {
            top_ = slot->below;
            --parked_;
        }
        return slot;
    }

    void adopted(pool_slot& slot, pool_shelf& by) noexcept
    {
        slot.shelf = &by;
        slot.state = slot_state::connecting;
        by.slots.push_back(slot);
        ++adopted_;
    }

    void not_adopted() noexcept { ++dropped_; }

    // One that may no longer be adopted, or null.
    pool_slot* take_expired(const pool_core& core, const clock_reading& now,
                            close_reason& why) noexcept
    {
        for (pool_slot** place = &top_; *place != nullptr; place = &(*place)->below) {
            const auto found = core.judge(**place, now);
            if (found.what == pool_core::verdict::close) {
                why = found.why;
                return drop(place);
            }
        }
        return nullptr;
    }

    // Any one, which counts as dropped, or null.
    pool_slot* drop() noexcept { return top_ == nullptr ? nullptr : drop(&top_); }

    void add_to(pool_stats& stats) const noexcept
    {
        stats.parked = parked_;
        stats.times_parked = times_parked_;
        stats.adopted = adopted_;
        stats.dropped = dropped_;
    }

private:
    pool_slot* drop(pool_slot** place) noexcept
    {
        --parked_;
        ++dropped_;
        return std::exchange(*place, (*place)->below);
    }

    std::size_t most_;
    std::size_t parked_ = 0;
    std::uint64_t times_parked_ = 0;
    std::uint64_t adopted_ = 0;
    std::uint64_t dropped_ = 0;
    pool_slot* top_ = nullptr;
};

} // namespace loopsafe::detail

#endif
