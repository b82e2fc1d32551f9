// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CLOSE_REASON_HPP
#define LOOPSAFE_POOL_CLOSE_REASON_HPP

#include <loopsafe/fwd.hpp>

#include <cstddef>
#include <string_view>

namespace loopsafe {

/// Why a pool closed a connection.
enum class close_reason {
    discarded,      ///< `lease::discard()`
    dirty,          ///< the lease ended in mid-message, after an error, or by an exception
    not_kept,       ///< the policy keeps nothing
    idle_too_long,  ///< `idle_timeout`
    lived_too_long, ///< `max_lifetime`
    probe_failed,   ///< the peer closed it, or sent unexpected data, while it was idle
    reset_failed,   ///< the connector could not reset it to the state of a new one
    invalidated,    ///< `invalidate()`
    pool_closed,    ///< `close()`, or the pool was destroyed
    context_died,   ///< the context of the connection was destroyed
    forked,         ///< it belongs to the parent process, or to other copies of a snapshot, too

    // Of `carry_over_pool`. Parked connections may also be closed for most of the reasons above.
    not_released,    ///< its context died, and its last lease ended without `release()`
    not_detached,    ///< its context died, and the connector could not detach it
    not_attached,    ///< the connector could not attach it to the next context
    too_many_parked, ///< `max_parked`
    parked_dropped   ///< `drop_parked()`
};

inline constexpr std::size_t close_reason_count = 16;

/// Its name, as above, for logs and metrics.
constexpr std::string_view to_string(close_reason why) noexcept
{
    switch (why) {
    case close_reason::discarded: return "discarded";
    case close_reason::dirty: return "dirty";
    case close_reason::not_kept: return "not_kept";
    case close_reason::idle_too_long: return "idle_too_long";
    case close_reason::lived_too_long: return "lived_too_long";
    case close_reason::probe_failed: return "probe_failed";
    case close_reason::reset_failed: return "reset_failed";
    case close_reason::invalidated: return "invalidated";
    case close_reason::pool_closed: return "pool_closed";
    case close_reason::context_died: return "context_died";
    case close_reason::forked: return "forked";
    case close_reason::not_released: return "not_released";
    case close_reason::not_detached: return "not_detached";
    case close_reason::not_attached: return "not_attached";
    case close_reason::too_many_parked: return "too_many_parked";
    case close_reason::parked_dropped: return "parked_dropped";
    }
    return "unknown";
}

} // namespace loopsafe

#endif
