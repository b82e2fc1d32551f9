// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_KEEP_ALIVE_POOL_HPP
#define LOOPSAFE_POOL_KEEP_ALIVE_POOL_HPP

#include <loopsafe/pool/policy.hpp>

namespace loopsafe {

/// Limits of a pool that keeps connections. They are checked when the pool is made; an invalid one
/// is rejected by name (`bad_option`).
struct kept_connection_options {
    /// Maximum number of connections: idle, leased and being made. At least 1.
    std::size_t max_size = 10;
    /// Maximum number of waiting callers; further ones get `queue_full`. 0: nobody waits.
    std::size_t max_waiting = 1000;
    /// How long a caller may wait. 0: not at all.
    std::chrono::milliseconds acquire_timeout = std::chrono::seconds(30);
    /// How long connecting, or resetting an old connection, may take. More than 0.
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
    /// A connection that has been idle for longer is closed at the next acquire. More than 0.
    std::chrono::milliseconds idle_timeout = std::chrono::minutes(10);
    /// A connection older than this is closed instead of being reused. More than 0.
    std::chrono::milliseconds max_lifetime = std::chrono::minutes(30);
    /// `max_lifetime` is shortened by a random fraction of up to this, so that connections made
    /// together do not expire together. From 0 to 1.
    double lifetime_jitter = 0.1;
    /// A connection that has been idle for longer is probed before reuse. 0: always.
    std::chrono::milliseconds probe_after = std::chrono::seconds(1);
    /// Appears in reports and events. The pool makes a copy.
    std::string_view name = {};
};

/// The default policy: connections are kept, and belong to the one context that the pool was made
/// with.
///
/// On another living context, the pool refuses with `wrong_context`; once its home is gone, with
/// `context_closed`. Its idle connections are closed when its home dies.
template <class Mutex, class Clock>
struct basic_keep_alive_pool {
    using mutex_type = Mutex;
    using clock_type = Clock;
    using options = kept_connection_options;

    static constexpr bool has_home = true;
    static constexpr bool keeps_idle = true;
    static constexpr bool limit_per_context = true;
    static constexpr const char* advice =
        "make the pool inside the context that uses it, or choose null_pool (a new connection each "
        "time), per_context_pool (each context keeps its own) or carry_over_pool (the next context "
        "gets what the last one leaves)";
};

static_assert(pool_policy<keep_alive_pool>);

} // namespace loopsafe

#endif
