// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_CARRY_HPP
#define LOOPSAFE_POOL_DETAIL_CARRY_HPP

#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/pool/core/parking.hpp>
#include <loopsafe/pool/detail/release.hpp>
#include <loopsafe/pool/detail/state.hpp>
#include <loopsafe/pool/detail/ticket.hpp>

namespace loopsafe::detail {

// Detaches connections from a dying context, on the thread that destroys it.
template <class Connector, class Policy>
void pool_state<Connector, Policy>::park_all(pool_slot* idle) noexcept
{
    if (idle == nullptr)
        return;
    const auto now = read_clock(shelf_of(*idle));
    while (idle != nullptr) {
        auto& s = static_cast<slot&>(*std::exchange(idle, idle->below));
        auto why = detach(s, now);
        slot* surplus = nullptr;
        {
            const lock_guard lock(mutex_);
            sync_generation();
            if (!why)
                why = reason_to_drop(s, now); // another thread may have caused one meanwhile
            if (why)
                core_.lost(s, *why);
            else
                surplus = static_cast<slot*>(parking_.park(s));
            if (surplus != nullptr)
                core_.lost(*surplus, close_reason::too_many_parked);
        }
        if (why) {
            destroy_slot(s, *why);
            tell_closed(*why);
        } else {
            emit({.what = pool_event::kind::parked, .pool = name_});
        }
        if (surplus != nullptr)
            drop_one(*surplus, close_reason::too_many_parked);
    }
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::reason_to_drop(const slot& s,
                                                   const clock_reading& now) const noexcept
    -> std::optional<close_reason>
{
    const auto found = core_.judge(s, now);
    if (found.what == pool_core::verdict::close)
        return found.why;
    if (core_.closed())
        return close_reason::pool_closed;
    return std::nullopt;
}

// Null if the slot now holds its connection outside of any context.
template <class Connector, class Policy>
auto pool_state<Connector, Policy>::detach(slot& s, const clock_reading& now) noexcept
    -> std::optional<close_reason>
{
    {
        const lock_guard lock(mutex_);
        sync_generation();
        if (const auto why = reason_to_drop(s, now))
            return why;
    }
    if (!still_at(shelf_of(s).home, *s.connection) ||
        !connector_.is_clean(std::as_const(*s.connection)))
        return close_reason::dirty;
    if (!frames_messages<Connector> && !s.released)
        return close_reason::not_released;
    auto handle = connector_.detach(*s.connection);
    s.connection.reset();
    if (!handle)
        return close_reason::not_detached;
    s.handle.emplace(*std::move(handle));
    return std::nullopt;
}

// Into the context that runs this. True if the ticket now has a connection. Connections that are
// too old, or from another process, were dropped before.
template <class Connector, class Policy>
bool pool_state<Connector, Policy>::adopt(ticket& t, const asio::any_io_executor& executor)
{
    for (;;) {
        slot* s = nullptr;
        {
            const lock_guard lock(mutex_);
            s = static_cast<slot*>(parking_.take());
        }
        if (s == nullptr)
            return false;
        const auto why = attach(*s, executor);
        {
            const both_locks lock(t.at());
            if (why) {
                parking_.not_adopted();
                core_.lost(*s, *why);
            } else {
                parking_.adopted(*s, t.at());
                t.accept(s);
            }
        }
        if (!why) {
            emit({.what = pool_event::kind::adopted, .pool = name_});
            return true;
        }
        drop_one(*s, *why);
    }
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::attach(slot& s, const asio::any_io_executor& executor) noexcept
    -> std::optional<close_reason>
{
    try {
        s.connection.emplace(connector_.attach(std::move(*s.handle), untracked(bare(executor))));
    } catch (...) { // connect anew: that helps, or gives the better error
        return close_reason::not_attached;
    }
    s.handle.reset();
    if (!connector_.probe(*s.connection))
        return close_reason::probe_failed;
    return std::nullopt;
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::drop_expired(const clock_reading& now) noexcept
{
    for (;;) {
        slot* old = nullptr;
        close_reason why{};
        {
            const lock_guard lock(mutex_);
            sync_generation();
            old = static_cast<slot*>(parking_.take_expired(core_, now, why));
            if (old == nullptr)
                return;
            core_.lost(*old, why);
        }
        drop_one(*old, why);
    }
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::drop_parked() noexcept
{
    const visit until_dropped(*this);
    drop_all_parked(close_reason::parked_dropped);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::drop_all_parked(close_reason why) noexcept
{
    for (;;) {
        slot* one = nullptr;
        auto said = why;
        {
            const lock_guard lock(mutex_);
            sync_generation();
            one = static_cast<slot*>(parking_.drop());
            if (one == nullptr)
                return;
            if (inherited(*one))
                said = close_reason::forked;
            core_.lost(*one, said);
        }
        drop_one(*one, said);
    }
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::drop_one(slot& s, close_reason why) noexcept
{
    destroy_slot(s, why);
    emit({.what = pool_event::kind::dropped, .reason = why, .pool = name_});
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::destroy_slot(slot& s, close_reason why) noexcept
{
    if (s.connection)
        destroy_connection(s, why);
    if constexpr (can_abandon<Connector>) {
        if (why == close_reason::forked && s.handle)
            connector_.abandon(*s.handle);
    }
    delete &s;
}

} // namespace loopsafe::detail

#endif
