// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_CLOSE_HPP
#define LOOPSAFE_POOL_DETAIL_CLOSE_HPP

#include <loopsafe/pool/detail/state.hpp>
#include <loopsafe/pool/detail/ticket.hpp>

namespace loopsafe::detail {

template <class Connector, class Policy>
template <class Wanted, class... Pin>
auto pool_state<Connector, Policy>::pin_shelf(Wanted wanted, Pin&... pin) noexcept -> shelf*
{
    for (auto& each : core_.shelves()) {
        auto& s = static_cast<shelf&>(each);
        if (wanted(s) && context_access::state(s.home)->pin(pin...))
            return &s;
    }
    return nullptr;
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::close_idle(close_reason why) noexcept
{
    for (;;) {
        intrusive_list<pool_slot> evicted;
        context_state::thread_pin pin;
        shelf* s = nullptr;
        {
            const lock_guard lock(mutex_);
            s = pin_shelf([](const shelf& each) noexcept { return each.idle != nullptr; }, pin);
            if (s == nullptr)
                return;
            core_.retain(*s);
            // One at a time: it may end the context, which then finds the others.
            core_.evict_one(*s, evicted, why);
        }
        destroy_all(evicted, *s, why);
        const auto home = context_access::state(s->home);
        home->unpin(pin);
        forget_all(evicted, why); // the hook may wait for the context, or end it
        drop(*s);
    }
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::close() noexcept
{
    const visit until_closed(*this);
    close_now();
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::close_now() noexcept
{
    {
        const lock_guard lock(mutex_);
        sync_forks();
        core_.close();
    }
    if constexpr (carries)
        drop_all_parked(close_reason::pool_closed);
    close_idle(close_reason::pool_closed);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::abandon_handle() noexcept
{
    const visit until_abandoned(*this); // which then may free it
    end_life();
    close_now();
    for (;;) {
        unique_lock lock(mutex_);
        // A shelf in use stays: its context must find the leases and the waiting callers.
        auto* unused = pin_shelf([](const shelf& s) noexcept { return pool_core::unused(s); });
        if (unused == nullptr) {
            core_.handle_gone();
            return;
        }
        leave_context(lock, *unused);
    }
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::invalidate() noexcept
{
    const visit until_closed(*this);
    {
        const lock_guard lock(mutex_);
        sync_forks();
        core_.invalidate();
    }
    if constexpr (carries)
        drop_all_parked(close_reason::invalidated);
    close_idle(close_reason::invalidated);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::thaw() noexcept
{
    const lock_guard lock(mutex_);
    core_.thaw();
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::drain(hold h, asio::any_io_executor executor,
                                          std::chrono::milliseconds limit,
                                          std::source_location where, const char* operation)
    -> asio::awaitable<void>
{
    close();
    waiter w(h.at(), executor);
    w.expires_after(limit);
    bool drained = false; // once is enough: a late caller is refused, but is counted meanwhile
    const auto begin = [&](auto handler) {
        const lock_guard lock(mutex_);
        drained = core_.drained();
        const bool wait = !drained;
        if (!wait)
            w.expire_now();
        begin_wait(w.timer, std::move(handler));
        if (wait)
            core_.wait_until_drained(w);
    };
    const auto [ec] =
        co_await asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>,
                                      void(error_code)>(begin, asio::as_tuple(asio::use_awaitable));
    {
        const lock_guard lock(mutex_);
        drained = core_.consume_drained(w) || drained || core_.drained();
    }
    if (drained)
        co_return;
    if (ec)
        throw boost::system::system_error(ec, operation);
    fail(errc::close_timeout, operation, where);
}

} // namespace loopsafe::detail

#endif
