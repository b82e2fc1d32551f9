// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_PER_CONTEXT_POOL_HPP
#define LOOPSAFE_POOL_PER_CONTEXT_POOL_HPP

#include <loopsafe/pool/keep_alive_pool.hpp>

namespace loopsafe {

/// Keeps a shelf of connections for each context; the shelf is closed when its context dies.
///
/// One pool may sit at namespace scope and serve any number of contexts, in sequence or in
/// parallel. `max_size` and `max_waiting` apply to each context.
template <class Mutex, class Clock>
struct basic_per_context_pool {
    using mutex_type = Mutex;
    using clock_type = Clock;
    using options = kept_connection_options;

    static constexpr bool has_home = false;
    static constexpr bool keeps_idle = true;
    static constexpr bool limit_per_context = true;
    static constexpr const char* advice =
        "call it from a coroutine of an io_context, or as async_acquire(executor, token)";
};

static_assert(pool_policy<per_context_pool>);

} // namespace loopsafe

#endif
