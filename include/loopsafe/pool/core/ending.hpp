// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_ENDING_HPP
#define LOOPSAFE_POOL_CORE_ENDING_HPP

#include <loopsafe/pool/core/machine.hpp>

#include <algorithm>

namespace loopsafe::detail {

inline pool_core::pool_core(const pool_rules& rules) noexcept
    : rules_(rules),
      fresh_for_(std::min(rules.probe_after, rules.idle_timeout)),
      needs_clock_(fresh_for_ != std::chrono::nanoseconds::max() ||
                   rules.max_lifetime != std::chrono::nanoseconds::max()),
      keeps_(rules.keeps_idle)
{
}

inline void pool_core::add(pool_shelf& shelf) noexcept
{
    if (!rules_.limit_per_context)
        shelf.budget = &shared_budget_;
    shelves_.push_back(shelf);
    tell(shelf);
}

inline bool pool_core::leave(pool_shelf& shelf) noexcept
{
    if (--shelf.users == 0 && !drainers_.empty() && drained()) {
        while (auto* waiter = drainers_.pop_front())
            grant(*waiter, nullptr);
    }
    return free_if_left(shelf);
}

inline bool pool_core::drop(pool_shelf& shelf) noexcept
{
    --shelf.references;
    return free_if_left(shelf);
}

inline bool pool_core::free_if_left(pool_shelf& shelf) noexcept
{
    if (shelf.users != 0 || shelf.references != 0)
        return false;
    shelf.unlink();
    stats_.reused += shelf.reused;
    return true;
}

inline bool pool_core::drained() const noexcept
{
    for (const auto& shelf : shelves_) {
        if (shelf.users != 0)
            return false;
    }
    return true;
}

inline void pool_core::context_died(pool_shelf& shelf, intrusive_list<pool_slot>& evicted) noexcept
{
    shelf.dead = true;
    shelf.fresh = pool_shelf::nothing;
    forget_waiters(shelf.budget->waiters, shelf, shelf.budget->waiting);
    std::size_t not_counted = 0;
    forget_waiters(drainers_, shelf, not_counted);
    evict(shelf, evicted, close_reason::context_died);
}

inline void pool_core::forget_waiters(intrusive_list<pool_waiter>& waiters, const pool_shelf& shelf,
                                      std::size_t& count) noexcept
{
    for (auto next = waiters.begin(); next != waiters.end();) {
        auto& waiter = *next;
        ++next;
        if (waiter.at == &shelf) {
            waiter.unlink();
            waiter.st = pool_waiter::status::idle;
            --count;
        }
    }
}

inline pool_slot* pool_core::next_leftover(pool_shelf& shelf) noexcept
{
    pool_slot* slot = shelf.slots.pop_front();
    if (slot != nullptr) {
        slot->state = slot_state::expiring;
        count_closed(inherited(*slot) ? close_reason::forked : close_reason::context_died);
    }
    return slot;
}

inline bool pool_core::leftover_destroyed(pool_slot& slot) noexcept
{
    slot.state = slot_state::expired;
    return slot.lease_gone;
}

inline void pool_core::close() noexcept
{
    closed_ = true;
    keeps_ = false;
}

inline void pool_core::tell(pool_shelf& shelf) const noexcept
{
    shelf.fresh = keeps_ && !shelf.dead ? epoch_ : pool_shelf::nothing;
    if (!closed_)
        return;
    auto& budget = *shelf.budget;
    while (auto* waiter = budget.waiters.pop_front()) {
        --budget.waiting;
        waiter->st = pool_waiter::status::closed;
        waiter->wake(*waiter);
    }
}

inline void pool_core::evict(pool_shelf& shelf, intrusive_list<pool_slot>& evicted,
                             close_reason why) noexcept
{
    while (shelf.idle != nullptr)
        evict_one(shelf, evicted, why);
}

inline void pool_core::evict_one(pool_shelf& shelf, intrusive_list<pool_slot>& evicted,
                                 close_reason why) noexcept
{
    pool_slot* const slot = shelf.idle;
    shelf.idle = slot->below;
    slot->unlink();
    slot->state = slot_state::closing;
    evicted.push_back(*slot);
    count_closed(inherited(*slot) ? close_reason::forked : why);
}

inline void pool_core::evicted_destroyed(pool_shelf& shelf, std::size_t count) noexcept
{
    shelf.budget->size -= count;
    hand_on(*shelf.budget);
}

inline void pool_core::invalidate() noexcept
{
    ++invalidations_;
    ++epoch_;
}

inline pool_stats pool_core::stats() const noexcept
{
    pool_stats now = stats_;
    now.acquired = stats_.reused + first_uses_;
    now.waiting = shared_budget_.waiting;
    return now;
}

inline void pool_core::add_to(pool_stats& stats, const pool_shelf& shelf) noexcept
{
    stats.reused += shelf.reused;
    stats.acquired += shelf.reused;
    stats.waiting += shelf.own_budget.waiting;
    for (const auto& slot : shelf.slots) {
        ++(slot.state == slot_state::leased ? stats.leased
           : slot.state == slot_state::idle ? stats.idle
                                            : stats.connecting);
    }
}

inline void pool_core::count_closed(close_reason why) noexcept
{
    ++stats_.closed_because[static_cast<std::size_t>(why)];
}

} // namespace loopsafe::detail

#endif
