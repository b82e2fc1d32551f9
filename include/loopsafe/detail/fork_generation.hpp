// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_FORK_GENERATION_HPP
#define LOOPSAFE_DETAIL_FORK_GENERATION_HPP

#include <boost/config.hpp>

#include <atomic>
#include <cstdint>

#if defined(BOOST_HAS_UNISTD_H)
#include <pthread.h>
#endif

namespace loopsafe::detail {

// Asking for the process id costs a system call at every acquire; this costs a load. Visible, as
// what Asio keeps for the process is: shared libraries that hide the rest run each other's
// functions.
inline BOOST_SYMBOL_VISIBLE std::atomic<std::uint64_t> fork_generation{0};

inline void watch_forks()
{
#if defined(BOOST_HAS_UNISTD_H)
    [[maybe_unused]] static const int watching = ::pthread_atfork(
        nullptr, nullptr, [] { fork_generation.fetch_add(1, std::memory_order_relaxed); });
#endif
}

} // namespace loopsafe::detail

#endif
