// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_RELEASE_HPP
#define LOOPSAFE_POOL_DETAIL_RELEASE_HPP

#include <loopsafe/pool/detail/state.hpp>
#include <loopsafe/detail/unwinding.hpp>

namespace loopsafe::detail {

// Whoever holds a lease can move a connection of another context into it.
template <class Connection>
bool still_at(const context_ref& home, const Connection& connection) noexcept
{
    if constexpr (requires { home == connection.home(); })
        return home == connection.home();
    else
        return true;
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::give_back(slot& s, lease_end how) noexcept
{
    const bool keep = how != lease_end::discarded;
    // A lease that ends in unwinding may have stopped in mid-message.
    const bool clean = keep && !unwinding();
    auto& pool = shelf_of(s).pool;
    if constexpr (carries && !frames_messages<Connector>)
        s.released = how == lease_end::released;
    if (!clean || !pool.put_back(s))
        pool.finish(s, clean, keep ? close_reason::dirty : close_reason::discarded);
}

// The warm path of a release. A pool that still keeps connections is not freed by it.
template <class Connector, class Policy>
bool pool_state<Connector, Policy>::put_back(slot& s) noexcept
{
    auto& home = shelf_of(s);
    const lock_guard lock(mutex_);
    sync_forks();
    if (!core_.may_put_back(s) || !still_at(home.home, *s.connection) ||
        !connector_.is_clean(std::as_const(*s.connection)))
        return false;
    core_.put_back(s);
    return true;
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::finish(slot& s, bool clean, close_reason otherwise) noexcept
{
    auto& home = shelf_of(s);
    const auto context_has_it = [&](unique_lock& lock) noexcept {
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
        unique_lock lock(mutex_);
        sync_forks();
        if (context_has_it(lock))
            return;
        if (clean && still_at(home.home, *s.connection) &&
            connector_.is_clean(std::as_const(*s.connection))) {
            if (core_.keep(s)) {
                end_with(lock, home, core_.leave(home));
                return;
            }
            otherwise = close_reason::not_kept;
        }
    }
    bool context_lives = false;
    {
        const context_pin pin(home.home); // not while the hook is told: it may wait for the context
        {
            unique_lock lock(mutex_);
            if (context_has_it(lock))
                return;
            if (!pin.may_touch()) { // the context dies on another thread, which will find it
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
    unique_lock lock(mutex_);
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
void pool_state<Connector, Policy>::tell_closed(close_reason why) noexcept
{
    emit({.what = pool_event::kind::closed, .reason = why, .pool = name_});
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
    const lock_guard lock(mutex_);
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
            const lock_guard lock(mutex_);
            sync_forks();
            old = static_cast<slot*>(core_.expired_idle(s, now, why));
        }
        if (old == nullptr)
            return;
        destroy_connection(*old, why);
        delete old;
        {
            const lock_guard lock(mutex_);
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

template <class Connector, class Policy>
void pool_state<Connector, Policy>::throw_expired(const slot* s)
{
    context_report report;
    report.code = errc::lease_expired;
    report.operation = "dereference";
    report.advice = "acquire a lease in each context, and let it end there";
    if (s == nullptr) {
        report.resource = "empty lease";
    } else {
        report.resource = "lease of " + shelf_of(*s).pool.resource();
        report.home = shelf_of(*s).home.info();
        report.used = s->holder;
        report.operation = "dereference of what was acquired";
    }
    throw context_error(std::move(report));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::emit(pool_event event) noexcept
{
    if (!on_event_)
        return;
    try {
        on_event_(event);
    } catch (...) { // an observer cannot make a release fail
    }
}

} // namespace loopsafe::detail

#endif
