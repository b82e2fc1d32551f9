// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_MUTEX_HPP
#define LOOPSAFE_POOL_MUTEX_HPP

#include <mutex>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace loopsafe {

/// The default lock of a pool: a `std::mutex` that is skipped while the process has a single
/// thread, if the C library can tell (glibc 2.32 and later).
///
/// Like any lock of a pool, it is never held while user code runs that could start a thread.
class pool_mutex {
public:
    void lock()
    {
        const bool needed = may_have_threads();
        if (needed)
            mutex_.lock();
        is_held_ = needed;
    }

    void unlock()
    {
        if (is_held_) // even if other threads exist by now
            mutex_.unlock();
    }

    /// Calls `body` with the lock held. Cheaper than `lock()` and `unlock()`: nothing has to be
    /// kept from one to the other.
    template <class Body>
    auto hold(Body body)
    {
        if (!may_have_threads())
            return body();
        const std::lock_guard lock(mutex_);
        return body();
    }

private:
    static bool may_have_threads() noexcept
    {
#if __has_include(<sys/single_threaded.h>)
        return __libc_single_threaded == 0;
#else
        return true;
#endif
    }

    std::mutex mutex_;
    bool is_held_ = false;
};

/// No lock, for pools that only one thread ever touches. With it, use by two threads, or `close()`
/// from `main` while a context runs on another thread, is a data race.
struct no_mutex {
    void lock() noexcept {}
    void unlock() noexcept {}
};

namespace detail {

template <class Mutex, class Body>
auto under(Mutex& mutex, Body body)
{
    const std::lock_guard lock(mutex);
    return body();
}

template <class Body>
auto under(pool_mutex& mutex, Body body)
{
    return mutex.hold(body);
}

} // namespace detail
} // namespace loopsafe

#endif
