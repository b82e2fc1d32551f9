// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CARRY_OVER_POOL_HPP
#define LOOPSAFE_POOL_CARRY_OVER_POOL_HPP

#include <loopsafe/pool/policy.hpp>

namespace loopsafe {

/// Limits of a pool that carries connections over. Checked like `kept_connection_options`.
struct carried_connection_options {
    /// Maximum number of connections per context: idle, leased and being made. At least 1.
    std::size_t max_size = 10;
    /// Maximum number of parked connections, in addition to those that `max_size` counts. When one
    /// more arrives, the one parked longest is closed. At least 1.
    std::size_t max_parked = 10;
    /// Maximum number of waiting callers per context; further ones get `queue_full`. 0: nobody
    /// waits.
    std::size_t max_waiting = 1000;
    /// How long a caller may wait. 0: not at all.
    std::chrono::milliseconds acquire_timeout = std::chrono::seconds(30);
    /// How long connecting, or resetting an old connection, may take. More than 0.
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
    /// A connection that has been idle for longer, on a shelf or parked, is closed at the next
    /// acquire. More than 0.
    std::chrono::milliseconds idle_timeout = std::chrono::minutes(10);
    /// A connection older than this is closed instead of being reused. More than 0.
    std::chrono::milliseconds max_lifetime = std::chrono::minutes(30);
    /// `max_lifetime` is shortened by a random fraction of up to this, so that connections made
    /// together do not expire together. From 0 to 1.
    double lifetime_jitter = 0.1;
    /// A connection that has been idle for longer is probed before reuse; a parked one always is.
    /// 0: always.
    std::chrono::milliseconds probe_after = std::chrono::seconds(1);
    /// Appears in reports and events. The pool makes a copy.
    std::string_view name = {};
};

/// Connections survive their context. Each stays on the shelf of its context while that lives, is
/// detached when it dies, and stays parked until the next context acquires it.
///
/// So a worker with a fresh context for each invocation pays for its handshakes once. The pool may
/// sit at namespace scope and serves any number of contexts, on any thread.
///
/// Only a connection that is idle and clean is carried. The connector must support this: one that
/// does not meet `can_carry` does not compile. If the connector cannot know where messages end, as
/// with bare TCP and TLS, a connection is carried only if its last lease ended in an explicit
/// `lease::release()`; the others are closed, and counted as `not_released`. A parked connection is
/// not watched: it must pass the connector's probe when it is adopted. A connection that is leased
/// when its context dies is closed with it. A forked child does not use the parked connections of
/// its parent, and leaves them open there.
///
/// Call `drop_parked()` before a snapshot of the process is taken: otherwise each copy of the
/// process would adopt the same connections.
///
/// The number (`max_parked`) and the age of parked connections are limited. There is no background
/// task: one that is never acquired stays open until `drop_parked()`, `invalidate()`, `close()`, or
/// the end of the pool.
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
