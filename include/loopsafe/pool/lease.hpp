// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_LEASE_HPP
#define LOOPSAFE_POOL_LEASE_HPP

#include <loopsafe/pool/detail/pool.hpp>

#include <utility>

namespace loopsafe {

namespace detail {

// Its name stands in the compiler's error.
struct co_await_the_acquire_to_get_its_lease {};

} // namespace detail

/// A connection on loan from a pool; it is returned when the lease ends.
///
/// A lease belongs to the context that acquired it. It may outlive the pool and the context: when
/// the context is gone, so is the connection, and using the lease throws `lease_expired`.
///
/// The connection is reused only if the lease ends clean: not discarded, and between messages
/// according to the connector. A connector that cannot know where messages end (bare TCP and TLS;
/// see `frames_messages`) also closes it if the lease ends while an exception is passing through.
///
/// Ending a lease never throws, never waits and needs no running context. It may happen on any
/// thread that may touch the connection, and on any thread at all once the context is gone.
/// Thread safety: distinct objects safe, shared objects unsafe.
template <class Connector, class PoolPolicy>
class lease<Connector, PoolPolicy, on_context> {
    using state = detail::pool_state<Connector, PoolPolicy>;

public:
    using connection_type = typename Connector::connection_type;

    /// Empty.
    lease() noexcept = default;
    lease(const lease&) = delete;            // a lease has one owner: std::move it
    lease& operator=(const lease&) = delete; // a lease has one owner: std::move it
    template <class Executor, class Cure = detail::co_await_the_acquire_to_get_its_lease>
    lease(boost::asio::awaitable<lease, Executor>&&) = delete;
    lease(lease&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    lease& operator=(lease&& other) noexcept
    {
        lease(std::move(other)).swap(*this);
        return *this;
    }
    explicit lease(typename state::loan of) noexcept : slot_(of.slot_) {} // for pools
    ~lease() { end(detail::lease_end::destroyed); }

    /// The connection.
    ///
    /// Context: the lease's. An operator cannot know its caller, so only the life of the context is
    /// checked here; the streams and connections of this library also check the caller's context.
    /// Errors: `lease_expired` (as `context_error`) when the lease is empty or its context is gone.
    /// Complexity: one atomic load.
    connection_type& operator*() const
    {
        if (slot_ == nullptr || !state::usable(*slot_)) [[unlikely]]
            state::throw_expired(slot_);
        return *slot_->connection;
    }
    connection_type* operator->() const { return &**this; }

    /// Whether there is a usable connection.
    explicit operator bool() const noexcept { return slot_ != nullptr && state::usable(*slot_); }

    /// Returns the connection now, and guarantees that it is between messages. `carry_over_pool`
    /// needs that guarantee to carry a connection that cannot know this itself, such as bare TCP
    /// and TLS. The lease is empty afterwards.
    void release() noexcept { end(detail::lease_end::released); }

    /// Closes the connection instead of returning it. The lease is empty afterwards.
    void discard() noexcept { end(detail::lease_end::discarded); }

    /// The context that acquired the lease, or an empty reference.
    context_ref home() const noexcept
    {
        return slot_ != nullptr ? state::home_of(*slot_) : context_ref();
    }

    void swap(lease& other) noexcept { std::swap(slot_, other.slot_); }

private:
    void end(detail::lease_end how) noexcept
    {
        if (slot_ != nullptr)
            state::give_back(*std::exchange(slot_, nullptr), how);
    }

    typename state::slot* slot_ = nullptr;
};

} // namespace loopsafe

#endif
