// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_RELEASING_HPP
#define LOOPSAFE_POOL_CORE_RELEASING_HPP

#include <loopsafe/pool/core/machine.hpp>

namespace loopsafe::detail {

inline bool pool_core::keep(pool_slot& slot) noexcept
{
    auto& shelf = *slot.shelf;
    if (!keeps_ || shelf.dead || inherited(slot) || slot.invalidations != invalidations_)
        return false;
    slot.used_before = true;
    slot.epoch = epoch_;
    slot.generation = generation_;
    if (auto* waiter = shelf.budget->waiters.pop_front()) {
        --shelf.budget->waiting;
        slot.state = slot_state::connecting;
        note_idle(slot);
        grant(*waiter, &slot);
    } else {
        push_idle(slot);
    }
    return true;
}

inline close_reason pool_core::begin_close(pool_slot& slot, close_reason why) noexcept
{
    slot.unlink();
    slot.state = slot_state::closing;
    if (inherited(slot))
        why = close_reason::forked;
    else if (slot.shelf->dead)
        why = close_reason::context_died;
    else if (why == close_reason::not_kept && closed_)
        why = close_reason::pool_closed;
    else if (why == close_reason::not_kept && slot.invalidations != invalidations_)
        why = close_reason::invalidated;
    count_closed(why);
    return why;
}

inline void pool_core::return_permit(pool_shelf& shelf) noexcept
{
    --shelf.budget->size;
    hand_on(*shelf.budget);
}

inline void pool_core::hand_on(pool_budget& budget) noexcept
{
    while (budget.size < rules_.max_size) {
        auto* waiter = budget.waiters.pop_front();
        if (waiter == nullptr)
            break;
        --budget.waiting;
        ++budget.size;
        grant(*waiter, nullptr);
    }
}

inline void pool_core::grant(pool_waiter& waiter, pool_slot* slot) noexcept
{
    waiter.st = pool_waiter::status::granted;
    waiter.got = slot;
    waiter.wake(waiter);
}

} // namespace loopsafe::detail

#endif
