// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_TIMERS_HPP
#define LOOPSAFE_TESTS_FUZZ_TIMERS_HPP

// A timerfd that is due takes its time to become readable, which would make runs differ. Without
// one, Asio looks at its timers itself at every turn.

#include <cerrno>
#include <sys/timerfd.h>

extern "C" int timerfd_create(clockid_t, int) noexcept
{
    errno = EINVAL;
    return -1;
}

#endif
