// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_CLOSE_HPP
#define LOOPSAFE_POOL_DETAIL_CLOSE_HPP

#include <loopsafe/pool/detail/state.hpp>
#include <loopsafe/pool/detail/ticket.hpp>

namespace loopsafe::detail {

template <class Connector, class Policy>
template <class Change>
void pool_state<Connector, Policy>::change_all(Change change) noexcept
{
    const lock_guard lock(mutex_);
    sync_generation();
    change();
    for (auto& each : core_.shelves()) {
        const lock_guard shelf_lock(static_cast<shelf&>(each).mutex);
        core_.tell(each);
    }
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
            for (auto& each : core_.shelves()) {
                auto& one = static_cast<shelf&>(each);
                const lock_guard shelf_lock(one.mutex);
                if (one.idle == nullptr || !context_access::state(one.home)->pin(pin))
                    continue;
                s = &one;
                core_.retain(one);
                // One at a time: it may end the context, which then finds the others.
                core_.evict_one(one, evicted, why);
                break;
            }
        }
        if (s == nullptr)
            return;
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
    change_all([this]() noexcept { core_.close(); });
    if constexpr (carries)
        drop_all_parked(close_reason::pool_closed);
    close_idle(close_reason::pool_closed);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::abandon_handle() noexcept
{
    const visit until_abandoned(*this); // which then may free it
    end_life();
    close_now(); // so that from now on users change only under the pool's lock
    for (;;) {
        unique_lock lock(mutex_);
        shelf* unused = nullptr;
        for (auto& each : core_.shelves()) {
            auto& one = static_cast<shelf&>(each);
            // One in use stays: its context must find the leases and the waiting callers.
            if (pool_core::unused(one) && context_access::state(one.home)->pin()) {
                unused = &one;
                break;
            }
        }
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
    change_all([this]() noexcept { core_.invalidate(); });
    if constexpr (carries)
        drop_all_parked(close_reason::invalidated);
    close_idle(close_reason::invalidated);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::thaw() noexcept
{
    change_all([this]() noexcept { core_.thaw(); });
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
