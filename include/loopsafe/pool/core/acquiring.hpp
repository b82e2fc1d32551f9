// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_ACQUIRING_HPP
#define LOOPSAFE_POOL_CORE_ACQUIRING_HPP

#include <loopsafe/pool/core/machine.hpp>

namespace loopsafe::detail {

inline pool_grant pool_core::try_acquire(pool_shelf& shelf) noexcept
{
    auto& budget = *shelf.budget;
    if (closed_ || shelf.dead || !budget.waiters.empty())
        return {};
    if (pool_slot* const slot = shelf.idle) {
        shelf.idle = slot->below;
        slot->state = slot_state::connecting;
        return {slot, true};
    }
    if (budget.size >= rules_.max_size)
        return {};
    ++budget.size;
    return {nullptr, true};
}

inline bool pool_core::queue_is_full(const pool_shelf& shelf) const noexcept
{
    return shelf.budget->waiting >= rules_.max_waiting;
}

inline void pool_core::wait(pool_waiter& waiter) noexcept
{
    auto& budget = *waiter.at->budget;
    budget.waiters.push_back(waiter);
    ++budget.waiting;
    waiter.st = pool_waiter::status::queued;
}

inline void pool_core::wait_until_drained(pool_waiter& waiter) noexcept
{
    drainers_.push_back(waiter);
    waiter.st = pool_waiter::status::queued;
}

inline pool_grant pool_core::consume(pool_waiter& waiter) noexcept
{
    const auto was = waiter.st;
    waiter.st = pool_waiter::status::done;
    if (was == pool_waiter::status::granted)
        return {waiter.got, true};
    if (was == pool_waiter::status::queued) {
        waiter.unlink();
        --waiter.at->budget->waiting;
    }
    return {};
}

inline bool pool_core::consume_drained(pool_waiter& waiter) noexcept
{
    const auto was = waiter.st;
    waiter.st = pool_waiter::status::done;
    waiter.unlink();
    return was == pool_waiter::status::granted;
}

inline pool_slot* pool_core::expired_idle(pool_shelf& shelf, const clock_reading& now,
                                          close_reason& why) noexcept
{
    for (pool_slot** place = &shelf.idle; *place != nullptr; place = &(*place)->below) {
        pool_slot* const slot = *place;
        const auto found = judge(*slot, now);
        if (found.what == verdict::close) {
            *place = slot->below;
            slot->unlink();
            slot->state = slot_state::closing;
            why = found.why;
            count_closed(why);
            return slot;
        }
    }
    return nullptr;
}

inline pool_core::judgement pool_core::judge(const pool_slot& slot,
                                             const clock_reading& now) const noexcept
{
    if (inherited(slot))
        return {verdict::close, close_reason::forked};
    if (slot.invalidations != invalidations_)
        return {verdict::close, close_reason::invalidated};
    if (now.since(slot.born) >= slot.lifetime)
        return {verdict::close, close_reason::lived_too_long};
    const auto idle_for = now.since(slot.idle_reading);
    if (idle_for >= rules_.idle_timeout)
        return {verdict::close, close_reason::idle_too_long};
    if (idle_for >= rules_.probe_after || slot.epoch != epoch_ || slot.generation != generation_)
        return {verdict::probe};
    return {verdict::fresh};
}

inline void pool_core::connecting(pool_slot& slot) noexcept
{
    slot.shelf->slots.push_back(slot);
    stamp(slot);
}

inline void pool_core::lost(pool_slot& slot, close_reason why) noexcept
{
    count_closed(why);
    stamp(slot);
}

// When connecting begins: whatever happens meanwhile concerns the new connection, too.
inline void pool_core::stamp(pool_slot& slot) const noexcept
{
    slot.generation = generation_;
    slot.invalidations = invalidations_;
    slot.epoch = epoch_;
}

inline void pool_core::not_connected(pool_slot& slot) noexcept
{
    slot.unlink();
    slot.state = slot_state::closing;
}

inline void pool_core::connected(pool_slot& slot, const clock_reading& now, double jitter) noexcept
{
    ++stats_.connects;
    slot.used_before = false;
    slot.born = now;
    slot.lifetime = rules_.max_lifetime;
    if (rules_.max_lifetime != std::chrono::nanoseconds::max()) {
        const auto cut = static_cast<double>(rules_.max_lifetime.count()) * jitter;
        slot.lifetime -= std::chrono::nanoseconds(static_cast<std::int64_t>(cut));
    }
}

inline void pool_core::leased(pool_slot& slot, const std::source_location& holder) noexcept
{
    auto& shelf = *slot.shelf;
    ++(slot.used_before ? shelf.reused : first_uses_);
    slot.used_before = true;
    slot.state = slot_state::leased;
    slot.holder = holder;
    slot.taken_at = shelf.cheap_now;
}

inline void pool_core::note(pool_shelf& shelf, const clock_reading& now) noexcept
{
    shelf.reading = now;
    shelf.cheap_now = now.wall;
}

} // namespace loopsafe::detail

#endif
