// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_POOL_CORE_IMPL_HPP
#define LOOPSAFE_DETAIL_POOL_CORE_IMPL_HPP

#include <algorithm>
#include <utility>

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
}

inline void pool_core::enter(pool_shelf& shelf) noexcept
{
    ++shelf.references;
    ++outstanding_;
}

inline bool pool_core::leave(pool_shelf& shelf) noexcept
{
    if (--outstanding_ == 0) {
        while (auto* waiter = drainers_.pop_front())
            grant(*waiter, nullptr);
    }
    return drop(shelf);
}

inline bool pool_core::drop(pool_shelf& shelf) noexcept
{
    if (--shelf.references != 0)
        return false;
    shelf.unlink();
    return true;
}

inline void pool_core::context_died(pool_shelf& shelf, intrusive_list<pool_slot>& evicted) noexcept
{
    shelf.dead = true;
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
        count_closed(slot->forks == forks_ ? close_reason::context_died : close_reason::forked);
    }
    return slot;
}

inline bool pool_core::leftover_destroyed(pool_slot& slot) noexcept
{
    slot.state = slot_state::expired;
    return slot.lease_gone;
}

inline pool_slot* pool_core::take_fresh(pool_shelf& shelf, std::chrono::nanoseconds cheap_now,
                                        const std::source_location& holder) noexcept
{
    pool_slot* const slot = shelf.idle;
    if (slot == nullptr || slot->epoch != epoch_ || !keeps_)
        return nullptr;
    if (needs_clock_) {
        const auto idle_for = cheap_now - slot->idle_reading.wall;
        if (idle_for < std::chrono::nanoseconds::zero() || idle_for >= fresh_for_ ||
            cheap_now >= slot->retire_at || reading_is_old(cheap_now))
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

inline void pool_core::grant(pool_waiter& waiter, pool_slot* slot) noexcept
{
    waiter.st = pool_waiter::status::granted;
    waiter.got = slot;
    waiter.wake(waiter);
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
    if (slot.forks != forks_)
        return {verdict::close, close_reason::forked};
    if (slot.invalidations != invalidations_)
        return {verdict::close, close_reason::invalidated};
    if (now.since(slot.born) >= slot.lifetime)
        return {verdict::close, close_reason::lived_too_long};
    const auto idle_for = now.since(slot.idle_reading);
    if (idle_for >= rules_.idle_timeout)
        return {verdict::close, close_reason::idle_too_long};
    if (idle_for >= rules_.probe_after || slot.epoch != epoch_)
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

// When connecting begins: what happens meanwhile concerns the new connection, too.
inline void pool_core::stamp(pool_slot& slot) const noexcept
{
    slot.forks = forks_;
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
    slot.retire_at = std::chrono::nanoseconds::max();
    if (rules_.max_lifetime != std::chrono::nanoseconds::max()) {
        const auto cut = static_cast<double>(rules_.max_lifetime.count()) * jitter;
        slot.lifetime -= std::chrono::nanoseconds(static_cast<std::int64_t>(cut));
        slot.retire_at = now.wall + slot.lifetime;
    }
}

inline void pool_core::leased(pool_slot& slot, const std::source_location& holder) noexcept
{
    ++(slot.used_before ? stats_.reused : first_uses_);
    slot.used_before = true;
    slot.state = slot_state::leased;
    slot.holder = holder;
    slot.taken_at = cheap_now_;
}

// That the epoch is the same says that nothing has happened to the pool since the slot had it.
inline bool pool_core::may_put_back(const pool_slot& slot) const noexcept
{
    return keeps_ && slot.epoch == epoch_ && !slot.shelf->dead && slot.shelf->budget->waiting == 0;
}

inline void pool_core::put_back(pool_slot& slot) noexcept
{
    push_idle(slot);
    --slot.shelf->references;
    --outstanding_;
}

inline void pool_core::push_idle(pool_slot& slot) const noexcept
{
    slot.below = std::exchange(slot.shelf->idle, &slot);
    slot.state = slot_state::idle;
    read_clock_for(slot);
}

inline void pool_core::read_clock_for(pool_slot& slot) const noexcept
{
    if (!needs_clock_)
        return;
    const auto since_reading = cheap_now_ - reading_.wall; // less than a second, or no time at all
    slot.idle_reading = {reading_.monotonic + since_reading, reading_.boot + since_reading,
                         cheap_now_};
}

inline bool pool_core::keep(pool_slot& slot) noexcept
{
    auto& shelf = *slot.shelf;
    if (!keeps_ || shelf.dead || slot.forks != forks_ || slot.invalidations != invalidations_)
        return false;
    slot.used_before = true;
    slot.epoch = epoch_;
    if (auto* waiter = shelf.budget->waiters.pop_front()) {
        --shelf.budget->waiting;
        slot.state = slot_state::connecting;
        read_clock_for(slot);
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
    if (slot.forks != forks_)
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

inline void pool_core::close() noexcept
{
    if (closed_)
        return;
    closed_ = true;
    keeps_ = false;
    const auto fail = [](pool_budget& budget) noexcept {
        while (auto* waiter = budget.waiters.pop_front()) {
            --budget.waiting;
            waiter->st = pool_waiter::status::closed;
            waiter->wake(*waiter);
        }
    };
    fail(shared_budget_);
    for (auto& shelf : shelves_)
        fail(shelf.own_budget);
}

inline void pool_core::evict(pool_shelf& shelf, intrusive_list<pool_slot>& evicted,
                             close_reason why) noexcept
{
    while (pool_slot* const slot = shelf.idle) {
        shelf.idle = slot->below;
        slot->unlink();
        slot->state = slot_state::closing;
        evicted.push_back(*slot);
        count_closed(slot->forks == forks_ ? why : close_reason::forked);
    }
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

inline void pool_core::forked(std::uint64_t generation) noexcept
{
    if (forks_ != generation) {
        forks_ = generation;
        ++epoch_;
    }
}

inline bool pool_core::reading_is_old(std::chrono::nanoseconds cheap_now) const noexcept
{
    const auto age = cheap_now - reading_.wall;
    return age < std::chrono::nanoseconds::zero() || age >= std::chrono::seconds(1);
}

inline void pool_core::note(const clock_reading& now) noexcept
{
    reading_ = now;
    cheap_now_ = now.wall;
}

inline pool_stats pool_core::stats() const noexcept
{
    pool_stats now = stats_;
    now.acquired = stats_.reused + first_uses_;
    now.waiting = shared_budget_.waiting;
    for (const auto& shelf : shelves_) {
        now.waiting += shelf.own_budget.waiting;
        for (const auto& slot : shelf.slots) {
            ++(slot.state == slot_state::leased ? now.leased
               : slot.state == slot_state::idle ? now.idle
                                                : now.connecting);
        }
    }
    return now;
}

inline void pool_core::count_closed(close_reason why) noexcept
{
    ++stats_.closed_because[static_cast<std::size_t>(why)];
}

} // namespace loopsafe::detail

#endif
