// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_NULL_POOL_HPP
#define LOOPSAFE_POOL_NULL_POOL_HPP

#include <loopsafe/pool/policy.hpp>

namespace loopsafe {

/// Limits of a pool that keeps nothing. Checked like `kept_connection_options`.
struct single_use_options {
    /// Maximum number of connections, leased and being made, in all contexts together. At least 1.
    std::size_t max_size = 10;
    /// Maximum number of waiting callers; further ones get `queue_full`. 0: nobody waits.
    std::size_t max_waiting = 1000;
    /// How long a caller may wait. 0: not at all.
    std::chrono::milliseconds acquire_timeout = std::chrono::seconds(30);
    /// How long connecting may take. More than 0.
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
    /// Appears in reports and events. The pool makes a copy.
    std::string_view name = {};
};

/// Keeps nothing: each acquire makes a connection, each return closes it.
///
/// So it has no home, serves every context, may sit at namespace scope, and passes nothing from one
/// context to another. Unlike other null pools it is bounded, and it connects concurrently.
template <class Mutex, class Clock>
struct basic_null_pool {
    using mutex_type = Mutex;
    using clock_type = Clock;
    using options = single_use_options;

    static constexpr bool has_home = false;
    static constexpr bool keeps_idle = false;
    static constexpr bool limit_per_context = false;
    static constexpr const char* advice =
        "call it from a coroutine of an io_context, or as async_acquire(executor, token)";
};

static_assert(pool_policy<null_pool>);

} // namespace loopsafe

#endif
