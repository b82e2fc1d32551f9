// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_QUIET_HPP
#define LOOPSAFE_TESTS_FUZZ_QUIET_HPP

// Who waits in Asio's reactor although nothing is ready would wait for ever, since a fuzzer has no
// other thread and no peer that acts by itself. The program is asked instead: it makes something
// happen, or says that this must not be.

#include <functional>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

inline std::function<void()> when_quiet;

extern "C" int epoll_wait(int descriptor, epoll_event* events, int most, int timeout)
{
    const auto ready = ::syscall(SYS_epoll_pwait, descriptor, events, most, 0, nullptr, 0);
    if (ready == 0 && timeout != 0)
        when_quiet();
    return static_cast<int>(ready);
}

#endif
