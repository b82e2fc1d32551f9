// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CARRY_OVER_POOL_HPP
#define LOOPSAFE_POOL_CARRY_OVER_POOL_HPP

#include <loopsafe/pool/policy.hpp>

namespace loopsafe {

/// Limits of a pool that carries connections over. Checked as `kept_connection_options` is.
struct carried_connection_options {
    /// Connections of one context at most: idle, leased and being made. At least 1.
    std::size_t max_size = 10;
    /// Connections at most that wait for a context, besides those that `max_size` counts. Where one
    /// more comes, the one parked longest is closed. At least 1.
    std::size_t max_parked = 10;
    /// Callers that may wait at most, in one context; more are told `queue_full`. 0: nobody waits.
    std::size_t max_waiting = 1000;
    /// How long a caller waits for its turn. 0: not at all.
    std::chrono::milliseconds acquire_timeout = std::chrono::seconds(30);
    /// How long making a connection, or resetting an old one, may take. More than 0.
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
    /// A connection idle for longer, on a shelf or parked, is closed, at the next acquire. More
    /// than 0.
    std::chrono::milliseconds idle_timeout = std::chrono::minutes(10);
    /// A connection older than this is closed when it would be used again. More than 0.
    std::chrono::milliseconds max_lifetime = std::chrono::minutes(30);
    /// `max_lifetime` is shortened by a random share up to this, so that connections made together
    /// do not end together. From 0 to 1.
    double lifetime_jitter = 0.1;
    /// A connection idle for longer is probed before it is used again; one that was parked always
    /// is. 0: always.
    std::chrono::milliseconds probe_after = std::chrono::seconds(1);
    /// For reports and hooks. The pool makes a copy.
    std::string_view name = {};
};

/// Connections survive their context: each is kept on the shelf of its context while that lives, is
/// taken out of it when it dies, and waits, parked, for the next context that asks.
///
/// So a worker with a fresh context for each invocation pays for its handshakes once. The pool may
/// sit at namespace scope and serves any number of contexts, on any thread.
///
/// Only a connection that is idle and clean is carried. The connector must know how: it does not
/// compile with one that does not meet `can_carry`. Where the connector cannot know where messages
/// end, as with bare TCP and TLS, a connection is carried only if its last lease ended in an
/// explicit `lease::release()`; the others are closed, and counted as `not_released`. A parked
/// connection is not watched: it must pass the connector's probe when it is adopted. A connection
/// that is leased when its context dies is closed with it. A forked child does not use the parked
/// connections of its parent, and leaves them open there.
///
/// Before a snapshot of the process is taken, call `drop_parked()`: each copy of the process would
/// adopt the same connections.
///
/// Parked connections are bounded in number (`max_parked`) and age; there is no background task, so
/// one that nobody asks for stays open until `drop_parked()`, `invalidate()`, `close()`, or the end
/// of the pool.
template <class Mutex, class Clock>
struct basic_carry_over_pool {
    using mutex_type = Mutex;
    using clock_type = Clock;
    using options = carried_connection_options;

    static constexpr bool has_home = false;
    static constexpr bool keeps_idle = true;
    static constexpr bool limit_per_context = true;
    static constexpr bool carries_over = true;
    static constexpr const char* advice =
        "call it from a coroutine of an io_context, or as async_acquire(executor, token)";
};

static_assert(pool_policy<carry_over_pool> && carries_over<carry_over_pool>);

} // namespace loopsafe

#endif
