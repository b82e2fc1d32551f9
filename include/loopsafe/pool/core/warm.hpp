// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_WARM_HPP
#define LOOPSAFE_POOL_CORE_WARM_HPP

#include <loopsafe/pool/core/machine.hpp>

#include <utility>

// The warm path, both ways.
namespace loopsafe::detail {

inline pool_slot* pool_core::take_fresh(pool_shelf& shelf, std::uint64_t generation,
                                        std::chrono::nanoseconds now,
                                        const std::source_location& holder) const noexcept
{
    pool_slot* const slot = shelf.idle;
    if (slot == nullptr || slot->epoch != shelf.fresh || slot->generation != generation)
        return nullptr;
    if (needs_clock_) {
        const auto idle_for = now - slot->idle_reading.wall;
        if (idle_for < std::chrono::nanoseconds::zero() || idle_for >= fresh_for_ ||
            now - slot->born.wall >= slot->lifetime || reading_is_old(shelf, now))
            return nullptr;
        shelf.cheap_now = now;
        slot->taken_at = now;
    }
    shelf.idle = slot->below;
    slot->state = slot_state::leased;
    slot->holder = holder;
    ++shelf.reused;
    ++shelf.users;
    return slot;
}

inline bool pool_core::reading_is_old(const pool_shelf& shelf,
                                      std::chrono::nanoseconds now) noexcept
{
    const auto age = now - shelf.reading.wall;
    return age < std::chrono::nanoseconds::zero() || age >= std::chrono::seconds(1);
}

// If its epoch is still the fresh one, nothing has happened to the pool, or to the context, since
// the slot recorded it.
inline bool pool_core::may_put_back(const pool_slot& slot, std::uint64_t generation) const noexcept
{
    const auto& shelf = *slot.shelf;
    return slot.epoch == shelf.fresh && slot.generation == generation &&
           shelf.budget->waiting == 0 && !watched_;
}

inline void pool_core::put_back(pool_slot& slot) const noexcept
{
    push_idle(slot);
    --slot.shelf->users;
}

inline void pool_core::push_idle(pool_slot& slot) const noexcept
{
    slot.below = std::exchange(slot.shelf->idle, &slot);
    slot.state = slot_state::idle;
    note_idle(slot);
}

inline void pool_core::note_idle(pool_slot& slot) const noexcept
{
    if (!needs_clock_)
        return;
    const auto& shelf = *slot.shelf;
    const auto& reading = shelf.reading;
    // Less than a second, or no time at all.
    const auto since_reading = shelf.cheap_now - reading.wall;
    slot.idle_reading = {reading.monotonic + since_reading, reading.boot + since_reading,
                         shelf.cheap_now};
}

} // namespace loopsafe::detail

#endif
