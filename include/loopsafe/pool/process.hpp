// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_PROCESS_HPP
#define LOOPSAFE_POOL_PROCESS_HPP

#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/detail/restored_hooks.hpp>

namespace loopsafe {

/// Says that this process may have been frozen: every pool and client of it, on every context and
/// worker thread, probes what it has kept, or parked, before it lends that again.
///
/// A runtime that knows when it is thawed calls this, as that of AWS Lambda does before each
/// invocation; pools also notice by themselves that a clock has jumped.
/// Thread safety: safe. Complexity: one addition; no pool is touched.
inline void process_thawed() noexcept
{
    detail::process_generation.fetch_add(detail::one_thaw, std::memory_order_relaxed);
}

/// Says that this process was made from a snapshot of another, of which there may be more copies:
/// every pool and client closes what it keeps without a word to its peer, as a forked child does,
/// and makes connections of its own. TLS resumes none of the sessions of before, and its random
/// numbers are not those of the other copies.
///
/// Thread safety: safe. Complexity: constant; what is kept is closed at the next use.
inline void process_restored()
{
    detail::process_generation.fetch_add(detail::one_copy, std::memory_order_relaxed);
    detail::call_restored_hooks();
}

} // namespace loopsafe

#endif
