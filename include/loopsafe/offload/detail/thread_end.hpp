// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_THREAD_END_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_THREAD_END_HPP

#include <boost/config.hpp>

#if defined(BOOST_HAS_PTHREADS)
#include <limits.h>
#include <pthread.h>
#endif

namespace loopsafe::detail {

// Reports the end of a thread: after its thread_local objects are gone, and after everything that C
// libraries, OpenSSL among them, keep for it under a POSIX key.
class thread_end {
public:
    using function = void (*)(void*) noexcept;

#if defined(BOOST_HAS_PTHREADS)
    // False if there is no memory for it: then nothing will be called.
    static bool call(function ended, void* with) noexcept
    {
        static thread_local thread_end of_this_thread;
        of_this_thread = {ended, with, PTHREAD_DESTRUCTOR_ITERATIONS - 1};
        return key().made && ::pthread_setspecific(key().id, &of_this_thread) == 0;
    }

private:
    thread_end() = default;
    thread_end(function ended, void* with, int rounds) noexcept
        : ended_(ended), with_(with), rounds_(rounds)
    {
    }

    // POSIX visits the keys again as long as values are set, up to that many times. Ours is set
    // until the last round but one; the last belongs to the sanitizers.
    static void next_round(void* self) noexcept
    {
        auto& end = *static_cast<thread_end*>(self);
        if (--end.rounds_ <= 0 || ::pthread_setspecific(key().id, self) != 0)
            end.ended_(end.with_);
    }

    struct key_type {
        key_type() noexcept : made(::pthread_key_create(&id, next_round) == 0) {}
        ::pthread_key_t id{};
        bool made;
    };
    static const key_type& key() noexcept
    {
        static const key_type one;
        return one;
    }

    function ended_ = nullptr;
    void* with_ = nullptr;
    int rounds_ = 0;
#else
    static bool call(function ended, void* with) noexcept
    {
        static thread_local thread_end of_this_thread;
        of_this_thread.ended_ = ended;
        of_this_thread.with_ = with;
        return true;
    }

    ~thread_end() { ended_(with_); }

private:
    thread_end() = default;

    function ended_ = nullptr;
    void* with_ = nullptr;
#endif
};

} // namespace loopsafe::detail

#endif
