// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_SHELVES_HPP
#define LOOPSAFE_POOL_DETAIL_SHELVES_HPP

#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/pool/detail/ticket.hpp>

namespace loopsafe::detail {

template <class Connector, class Policy>
void pool_state<Connector, Policy>::settle(const located_executor& home)
{
    home_ = context_of(home.executor, home.where);
    if (!home_)
        throw context_error(refusal({}, home.executor, resource(), "construction", home.where,
                                    "give the pool an io_context or its executor"));
    auto fresh = std::make_unique<shelf>(*this, home_, residents::of(home.executor));
    fresh->executor = untracked(bare(home.executor));
    home_address_ = context_access::state(home_)->address;
    const lock_guard lock(mutex_);
    home_shelf_ = &add_shelf(std::move(fresh));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::forget([[maybe_unused]] const shelf& s) noexcept
{
    if constexpr (Policy::has_home)
        home_shelf_ = nullptr;
    else
        by_context_.take_out(context_access::state(s.home)->address);
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::add_shelf(std::unique_ptr<shelf> fresh) -> shelf&
{
    if constexpr (!Policy::has_home)
        by_context_.make_room();
    core_.add(*fresh);
    if constexpr (!Policy::has_home)
        by_context_.put(context_access::state(fresh->home)->address, *fresh);
    fresh->registry.attach(*fresh);
    return *fresh.release();
}

template <class Connector, class Policy>
template <class Use>
auto pool_state<Connector, Policy>::use_shelf(const asio::any_io_executor& executor,
                                              const char* operation,
                                              const std::source_location& where, Use use) -> shelf&
{
    const auto* context = named_context(executor);
    if (context != nullptr) {
        const lock_guard lock(mutex_);
        sync_generation();
        if (auto* s = find_shelf(context); s != nullptr && s->home.alive()) {
            const lock_guard shelf_lock(s->mutex);
            use(*s);
            return *s;
        }
    }
    if (context == nullptr || Policy::has_home)
        refuse(executor, operation, where);
    const auto asking = context_of(executor, where);
    if (!asking.alive()) {
        throw context_error({.code = errc::context_closed,
                             .resource = resource(),
                             .home = asking.info(),
                             .asked = asking.info(),
                             .operation = operation,
                             .used = where,
                             .advice = "do not acquire while the context is being destroyed"});
    }
    auto fresh = std::make_unique<shelf>(*this, asking, residents::of(executor));
    const lock_guard lock(mutex_);
    auto* s = find_shelf(context);
    if (s == nullptr)
        s = &add_shelf(std::move(fresh));
    const lock_guard shelf_lock(s->mutex);
    use(*s);
    return *s;
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::enter(const asio::any_io_executor& executor,
                                          const char* operation, const std::source_location& where)
    -> ticket
{
    return ticket(
        use_shelf(executor, operation, where, [this](shelf& s) noexcept { core_.enter(s); }));
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::retain(const asio::any_io_executor& executor,
                                           const char* operation, const std::source_location& where)
    -> hold
{
    return hold(
        use_shelf(executor, operation, where, [this](shelf& s) noexcept { core_.retain(s); }));
}

template <class Connector, class Policy>
asio::any_io_executor pool_state<Connector, Policy>::asking(asio::any_io_executor associated)
{
    if (named_context(associated) != nullptr)
        return associated;
    asio::any_io_executor home;
    if constexpr (Policy::has_home) {
        const lock_guard lock(mutex_);
        if (home_shelf_ != nullptr)
            home = home_shelf_->executor;
    }
    return home;
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::on_context_dying(shelf& s) noexcept
{
    intrusive_list<pool_slot> evicted;
    pool_slot* carried = nullptr;
    asio::any_io_executor executor;
    {
        const both_locks lock(s);
        sync_generation();
        forget(s); // from now on another context may have this address
        if constexpr (carries)
            carried = pool_parking::take_idle(s);
        core_.context_died(s, evicted);
        executor.swap(s.executor);
    }
    if constexpr (carries)
        park_all(carried);
    destroy_all(evicted, s, close_reason::context_died);
    forget_all(evicted, close_reason::context_died);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::on_frames_gone(shelf& s) noexcept
{
    for (;;) {
        slot* left = nullptr;
        {
            const both_locks lock(s);
            left = static_cast<slot*>(core_.next_leftover(s));
        }
        if (left == nullptr)
            break;
        destroy_connection(*left,
                           inherited(*left) ? close_reason::forked : close_reason::context_died);
        both_locks lock(s);
        const bool lease_gone = core_.leftover_destroyed(*left);
        core_.return_permit(s);
        if (lease_gone) {
            core_.leave(s); // not the last reference: the context still has one
            lock.unlock();
            delete left;
        }
    }
    drop(s);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::leave(shelf& s) noexcept
{
    both_locks lock(s);
    end_with(lock, s, core_.leave(s));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::drop(shelf& s) noexcept
{
    both_locks lock(s);
    end_with(lock, s, core_.drop(s));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::end_with(both_locks& lock, shelf& s,
                                             bool shelf_is_free) noexcept
{
    if (!shelf_is_free) [[likely]] {
        if (core_.orphaned(s) && context_access::state(s.home)->pin()) [[unlikely]]
            leave_context(lock, s);
        return;
    }
    const bool pool_is_free = is_free();
    lock.unlock();
    delete &s;
    if (pool_is_free)
        delete this;
}

// Only the context refers to the shelf, and the context is pinned.
template <class Connector, class Policy>
template <class Lock>
void pool_state<Connector, Policy>::leave_context(Lock& lock, shelf& s) noexcept
{
    const auto home = context_access::state(s.home);
    asio::any_io_executor executor;
    executor.swap(s.executor);
    if constexpr (!Policy::has_home)
        forget(s);
    lock.unlock();
    executor = {};
    s.registry.detach(s);
    home->unpin();
    drop(s);
}

} // namespace loopsafe::detail

#endif
