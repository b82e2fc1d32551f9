// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_WARM_HPP
#define LOOPSAFE_POOL_DETAIL_WARM_HPP

#include <loopsafe/detail/unwinding.hpp>
#include <loopsafe/pool/detail/state.hpp>

// The warm path of a pool, both ways.
namespace loopsafe::detail {

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::take_fresh(const asio::execution_context* asking,
                                               const std::source_location& where) noexcept -> loan
{
    if constexpr (!Policy::keeps_idle) {
        return loan(nullptr);
    } else {
        const auto now = core_.needs_clock() ? clock::cheap() : std::chrono::nanoseconds::zero();
        auto* const s = find_shelf(asking);
        if (s == nullptr)
            return loan(nullptr);
        return under(s->mutex, [&]() noexcept {
            if constexpr (can_reset<Connector> || can_ask_for_probe<Connector>) {
                if (s->idle == nullptr || is_suspect(*static_cast<slot*>(s->idle)->connection))
                    return loan(nullptr);
            }
            return loan(static_cast<slot*>(core_.take_fresh(*s, generation(), now, where)));
        });
    }
}

template <class Connector, class Policy>
bool pool_state<Connector, Policy>::is_suspect(connection_type& connection) const noexcept
{
    if (needs_reset_now(connection))
        return true;
    if constexpr (can_ask_for_probe<Connector>)
        return connector_.needs_probe(std::as_const(connection));
    return false;
}

// Whether the connection must be reset before it is lent.
template <class Connector, class Policy>
bool pool_state<Connector, Policy>::needs_reset_now(
    [[maybe_unused]] connection_type& connection) const noexcept
{
    if constexpr (can_reset<Connector>) {
        if (!connector_.needs_reset(std::as_const(connection)))
            return false;
        if constexpr (can_postpone_reset<Connector>)
            return !connector_.postpone_reset(connection, options_.connect_timeout);
        return true;
    }
    return false;
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::find_shelf(
    const asio::execution_context* context) const noexcept -> shelf*
{
    if constexpr (Policy::has_home)
        return context == home_address_ ? home_shelf_ : nullptr;
    else
        return by_context_.find(context);
}

// A user who holds a lease can move a connection of another context into it.
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
    // A lease that ends during unwinding may have stopped in mid-message, unless its connector
    // knows.
    const bool clean = keep && (frames_messages<Connector> || !unwinding());
    auto& pool = shelf_of(s).pool;
    if constexpr (carries && !frames_messages<Connector>)
        s.released = how == lease_end::released;
    if (clean && pool.put_back(s)) [[likely]]
        return;
    pool.tell_returned(s);
    pool.finish(s, clean, keep ? close_reason::dirty : close_reason::discarded);
}

// The warm path of a release. It does not free a pool that still keeps connections.
template <class Connector, class Policy>
bool pool_state<Connector, Policy>::put_back(slot& s) noexcept
{
    auto& home = shelf_of(s);
    return under(home.mutex, [&]() noexcept {
        if (!core_.may_put_back(s, generation()) || !still_at(home.home, *s.connection) ||
            !connector_.is_clean(std::as_const(*s.connection)))
            return false;
        end_turn(s);
        core_.put_back(s);
        return true;
    });
}

} // namespace loopsafe::detail

#endif
