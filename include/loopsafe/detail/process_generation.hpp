// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_PROCESS_GENERATION_HPP
#define LOOPSAFE_DETAIL_PROCESS_GENERATION_HPP

#include <boost/config.hpp>

#include <atomic>
#include <cstdint>

#if defined(BOOST_HAS_UNISTD_H)
#include <pthread.h>
#endif

namespace loopsafe::detail {

// Asking for the process id costs a system call at every acquire; these cost a load. Visible, as
// what Asio keeps for the process is: shared libraries that hide the rest run each other's
// functions.
inline BOOST_SYMBOL_VISIBLE std::atomic<std::uint64_t> fork_generation{0};

// What pools compare: how often this process became a copy of another, by a fork or a snapshot, and
// how often it was thawed. One word, since the warm path reads it.
inline BOOST_SYMBOL_VISIBLE std::atomic<std::uint64_t> process_generation{0};

inline constexpr std::uint64_t one_thaw = 1;
inline constexpr std::uint64_t one_copy = std::uint64_t{1} << 44; // more than a process is thawed

// Whether what was made in the one generation belongs to another process in the other.
constexpr bool copied_between(std::uint64_t a, std::uint64_t b) noexcept
{
    return a / one_copy != b / one_copy;
}

inline void note_fork() noexcept
{
    fork_generation.fetch_add(1, std::memory_order_relaxed);
    process_generation.fetch_add(one_copy, std::memory_order_relaxed);
}

inline void watch_forks()
{
#if defined(BOOST_HAS_UNISTD_H)
    [[maybe_unused]] static const int watching =
        ::pthread_atfork(nullptr, nullptr, [] { note_fork(); });
#endif
}

} // namespace loopsafe::detail

#endif
