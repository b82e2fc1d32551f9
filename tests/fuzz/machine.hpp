// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_MACHINE_HPP
#define LOOPSAFE_TESTS_FUZZ_MACHINE_HPP

// A machine without a network, and whose time stands still: a TCP socket is one end of a pair,
// whose other end the program holds; and who waits although nothing is ready asks the program,
// which acts as the peer, or lets time pass.

#include "timers.hpp"

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace machine {

inline std::int64_t steady_ns = 1'000'000'000'000;
inline std::function<void(int timeout)> when_quiet;
/// Gets the other end of a socket that connects. False: the connection is refused.
inline std::function<bool(int descriptor)> when_connecting;
inline std::map<int, int> unconnected; // the other ends

inline void pass(std::int64_t ms)
{
    steady_ns += ms * 1'000'000;
}

inline void forget_unconnected()
{
    for (const auto& [mine, other] : unconnected)
        ::close(other);
    unconnected.clear();
}

} // namespace machine

extern "C" int clock_gettime(clockid_t which, timespec* at) noexcept
{
    if (which != CLOCK_MONOTONIC)
        return static_cast<int>(::syscall(SYS_clock_gettime, which, at));
    at->tv_sec = machine::steady_ns / 1'000'000'000;
    at->tv_nsec = machine::steady_ns % 1'000'000'000;
    return 0;
}

extern "C" int epoll_wait(int descriptor, epoll_event* events, int most, int timeout)
{
    const auto ready = [&] {
        return static_cast<int>(
            ::syscall(SYS_epoll_pwait, descriptor, events, most, 0, nullptr, 0));
    };
    const auto count = ready();
    if (count != 0 || timeout == 0)
        return count;
    machine::when_quiet(timeout);
    return ready();
}

extern "C" int socket(int domain, int type, int protocol) noexcept
{
    if (domain != AF_INET)
        return static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
    int both[2] = {};
    if (::socketpair(AF_UNIX, type, 0, both) != 0)
        return -1;
    if (const auto old = machine::unconnected.find(both[0]); old != machine::unconnected.end())
        ::close(std::exchange(old->second, both[1])); // of a socket that was closed
    else
        machine::unconnected.emplace(both[0], both[1]);
    return both[0];
}

extern "C" int connect(int descriptor, const sockaddr* to, socklen_t size)
{
    const auto other = machine::unconnected.extract(descriptor);
    if (other.empty())
        return static_cast<int>(::syscall(SYS_connect, descriptor, to, size));
    if (machine::when_connecting(other.mapped()))
        return 0;
    ::close(other.mapped());
    errno = ECONNREFUSED;
    return -1;
}

#endif
