// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CLOSE_REASON_HPP
#define LOOPSAFE_CLOSE_REASON_HPP

#include <loopsafe/fwd.hpp>

#include <cstddef>

namespace loopsafe {

/// Why a pool closed a connection.
enum class close_reason {
    discarded,      ///< the user said so
    dirty,          ///< the lease ended in mid-message, in an error, or in unwinding
    not_kept,       ///< the policy keeps nothing
    idle_too_long,  ///< `idle_timeout`
    lived_too_long, ///< `max_lifetime`
    probe_failed,   ///< the peer closed it, or sent what nobody asked for, while it was idle
    reset_failed,   ///< the connector could not bring it back to the state of a new one
    invalidated,    ///< `invalidate()`
    pool_closed,    ///< `close()`, or the pool was destroyed
    context_died,   ///< the context of the connection was destroyed
    forked,         ///< it belongs to the parent process

    // of `carry_over_pool`
    not_released,    ///< its context died, and its last lease ended without `release()`
    not_detached,    ///< its context died, and the connector could not take it out of there
    not_attached,    ///< the connector could not put it into the context that asked next
    too_many_parked, ///< `max_parked`
    parked_dropped   ///< `drop_parked()`
};

inline constexpr std::size_t close_reason_count = 16;

} // namespace loopsafe

#endif
