// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_THREAD_MARK_HPP
#define LOOPSAFE_DETAIL_THREAD_MARK_HPP

#include <boost/config.hpp>

#if defined(BOOST_HAS_PTHREADS)
#include <pthread.h>
#else
#include <thread>
#endif

namespace loopsafe::detail {

// A thread as the system knows it. Not the address of a thread_local
// variable: each of two shared libraries may have one, and Asio calls from one into the other.
#if defined(BOOST_HAS_PTHREADS) // <thread> takes longer to compile
using thread_mark = ::pthread_t;

inline thread_mark this_thread() noexcept
{
    return ::pthread_self();
}
#else
using thread_mark = std::thread::id;

inline thread_mark this_thread() noexcept
{
    return std::this_thread::get_id();
}
#endif

} // namespace loopsafe::detail

#endif
