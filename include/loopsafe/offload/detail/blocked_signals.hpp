// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_BLOCKED_SIGNALS_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_BLOCKED_SIGNALS_HPP

#include <boost/config.hpp>

#include <initializer_list>

#if defined(BOOST_HAS_UNISTD_H)
#include <signal.h>
#endif

namespace loopsafe::detail {

// A thread started meanwhile takes none of the signals meant for the program's own threads. It
// still takes those that its own code causes, and a profiler's.
class blocked_signals {
public:
#if defined(BOOST_HAS_UNISTD_H)
    blocked_signals() noexcept
    {
        sigset_t all;
        ::sigfillset(&all);
        for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF})
            ::sigdelset(&all, own);
        blocked_ = ::pthread_sigmask(SIG_BLOCK, &all, &before_) == 0;
    }
    ~blocked_signals()
    {
        if (blocked_)
            ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

private:
    sigset_t before_;
    bool blocked_;

public:
#else
    blocked_signals() noexcept {}
    ~blocked_signals() {}
#endif
    blocked_signals(const blocked_signals&) = delete;
    blocked_signals& operator=(const blocked_signals&) = delete;
};

} // namespace loopsafe::detail

#endif
