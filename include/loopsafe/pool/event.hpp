// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_EVENT_HPP
#define LOOPSAFE_POOL_EVENT_HPP

#include <loopsafe/pool/close_reason.hpp>

#include <chrono>
#include <exception>
#include <string_view>

namespace loopsafe {

/// The argument of a pool's hook; see `connection_pool::on_event`.
struct pool_event {
    enum class kind {
        connected,
        connect_failed,
        closed,
        refused,
        acquire_timed_out,
        waited,   ///< a caller that had to wait has got its turn
        returned, ///< a lease has ended
        parked,   ///< `carry_over_pool` detached it from its dying context
        adopted,  ///< it is attached to the next context
        dropped   ///< it was parked, and is closed: reported instead of `closed`
    };

    kind what;
    close_reason reason = {};      ///< for `closed` and `dropped`
    std::string_view pool;         ///< the name in the options
    std::exception_ptr error = {}; ///< for `connect_failed`

    /// How long it took: to connect (`connected`, `connect_failed`), the wait (`waited`,
    /// `acquire_timed_out`), the use of a connection (`returned`; by a coarse clock, whose steps
    /// are some milliseconds). 0 for the others.
    std::chrono::nanoseconds took = {};
};

/// Its name, as above, for logs and metrics.
constexpr std::string_view to_string(pool_event::kind what) noexcept
{
    switch (what) {
    case pool_event::kind::connected: return "connected";
    case pool_event::kind::connect_failed: return "connect_failed";
    case pool_event::kind::closed: return "closed";
    case pool_event::kind::refused: return "refused";
    case pool_event::kind::acquire_timed_out: return "acquire_timed_out";
    case pool_event::kind::waited: return "waited";
    case pool_event::kind::returned: return "returned";
    case pool_event::kind::parked: return "parked";
    case pool_event::kind::adopted: return "adopted";
    case pool_event::kind::dropped: return "dropped";
    }
    return "unknown";
}

} // namespace loopsafe

#endif
