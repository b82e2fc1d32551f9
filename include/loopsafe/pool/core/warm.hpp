// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_WARM_HPP
#define LOOPSAFE_POOL_CORE_WARM_HPP

#include <loopsafe/pool/core/machine.hpp>

#include <utility>

// The warm path, both ways.
namespace loopsafe::detail {

inline pool_slot* pool_core::take_fresh(pool_shelf& shelf, std::chrono::nanoseconds cheap_now,
                                        const std::source_location& holder) noexcept
{
    pool_slot* const slot = shelf.idle;
    if (slot == nullptr || slot->epoch != epoch_ || !keeps_)
        return nullptr;
    if (needs_clock_) {
        const auto idle_for = cheap_now - slot->idle_reading.wall;
        if (idle_for < std::chrono::nanoseconds::zero() || idle_for >= fresh_for_ ||
            cheap_now - slot->born.wall >= slot->lifetime || reading_is_old(cheap_now))
            return nullptr;
        cheap_now_ = cheap_now;
        slot->taken_at = cheap_now;
    }
    shelf.idle = slot->below;
    slot->state = slot_state::leased;
    slot->holder = holder;
    ++stats_.reused;
    enter(shelf);
    return slot;
}

inline bool pool_core::reading_is_old(std::chrono::nanoseconds cheap_now) const noexcept
{
    const auto age = cheap_now - reading_.wall;
    return age < std::chrono::nanoseconds::zero() || age >= std::chrono::seconds(1);
}

// An unchanged epoch means that nothing has happened to the pool since the slot recorded it.
inline bool pool_core::may_put_back(const pool_slot& slot) const noexcept
{
    return returns_warm_ && slot.epoch == epoch_ && !slot.shelf->dead &&
           slot.shelf->budget->waiting == 0;
}

inline void pool_core::put_back(pool_slot& slot) noexcept
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
    const auto since_reading = cheap_now_ - reading_.wall; // less than a second, or no time at all
    slot.idle_reading = {reading_.monotonic + since_reading, reading_.boot + since_reading,
                         cheap_now_};
}

} // namespace loopsafe::detail

#endif
