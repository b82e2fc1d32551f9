// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_RELEASE_HPP
#define LOOPSAFE_POOL_DETAIL_RELEASE_HPP

#include <loopsafe/context/pin.hpp>
#include <loopsafe/pool/detail/state.hpp>
#include <loopsafe/pool/detail/warm.hpp>

namespace loopsafe::detail {

template <class Connector, class Policy>
void pool_state<Connector, Policy>::finish(slot& s, bool clean, close_reason otherwise) noexcept
{
    auto& home = shelf_of(s);
    const auto context_has_it = [&](both_locks& lock) noexcept {
        if (s.state == slot_state::expiring) {
            s.lease_gone = true;
            return true;
        }
        if (s.state == slot_state::expired) {
            end_with(lock, home, core_.leave(home));
            delete &s;
            return true;
        }
        return false;
    };
    {
        both_locks lock(home);
        sync_generation();
        if (context_has_it(lock))
            return;
        if (clean && still_at(home.home, *s.connection) &&
            connector_.is_clean(std::as_const(*s.connection))) {
            end_turn(s);
            if (core_.keep(s)) {
                end_with(lock, home, core_.leave(home));
                return;
            }
            otherwise = close_reason::not_kept;
        }
    }
    bool context_lives = false;
    {
        const context_pin pin(home.home); // not during the hook: it may wait for the context
        {
            both_locks lock(home);
            if (context_has_it(lock))
                return;
            if (!pin.may_touch()) { // the context is dying on another thread, which will find it
                s.lease_gone = true;
                return;
            }
            otherwise = core_.begin_close(s, otherwise);
            context_lives = !home.dead;
        }
        destroy_connection(s, otherwise);
    }
    delete &s;
    if (context_lives)
        tell_closed(otherwise);
    both_locks lock(home);
    core_.return_permit(home);
    end_with(lock, home, core_.leave(home));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::destroy_connection(slot& s, close_reason why) noexcept
{
    if constexpr (can_abandon<Connector>) {
        if (why == close_reason::forked)
            connector_.abandon(*s.connection);
    }
    s.connection.reset();
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::destroy_all(intrusive_list<pool_slot>& evicted, shelf& s,
                                                close_reason why) noexcept
{
    std::size_t count = 0;
    for (auto& each : evicted) {
        auto& evicted_slot = static_cast<slot&>(each);
        destroy_connection(evicted_slot, inherited(evicted_slot) ? close_reason::forked : why);
        ++count;
    }
    const both_locks lock(s);
    core_.evicted_destroyed(s, count);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::forget_all(intrusive_list<pool_slot>& evicted,
                                               close_reason why) noexcept
{
    while (auto* slot_base = evicted.pop_front()) {
        const auto* evicted_slot = static_cast<slot*>(slot_base);
        const auto each = inherited(*evicted_slot) ? close_reason::forked : why;
        delete evicted_slot;
        if (why != close_reason::context_died)
            tell_closed(each);
    }
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::close_expired(shelf& s, const clock_reading& now) noexcept
{
    for (;;) {
        slot* old = nullptr;
        close_reason why{};
        {
            const both_locks lock(s);
            sync_generation();
            old = static_cast<slot*>(core_.expired_idle(s, now, why));
        }
        if (old == nullptr)
            return;
        destroy_connection(*old, why);
        delete old;
        {
            const both_locks lock(s);
            core_.return_permit(s);
        }
        tell_closed(why);
    }
}

template <class Connector, class Policy>
bool pool_state<Connector, Policy>::usable(const slot& s) noexcept
{
    const auto& state = *context_access::state(shelf_of(s).home);
    return state.alive() || (state.unwinding_here() && s.connection.has_value());
}

} // namespace loopsafe::detail

#endif
