// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_STEPPING_HPP
#define LOOPSAFE_TESTS_BENCH_STEPPING_HPP

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

// Counts exactly, where time is too noisy: the body runs in a child process, which this one stops
// after every instruction, or at every system call, from one mark that the body sets to the next.
namespace bench {

enum class event { instructions, system_calls };
constexpr long any_call = -1;

inline void mark()
{
    std::raise(SIGUSR1);
}

namespace detail {

struct tally {
    std::uint64_t events = 0;
    std::uint64_t spans = 0;
};

inline int wait_for(pid_t child)
{
    int status = 0;
    if (::waitpid(child, &status, 0) != child)
        throw std::runtime_error("waitpid failed");
    return status;
}

// An instruction that repeats itself stops once for each turn and counts once, as in callgrind.
class place {
public:
    bool moved([[maybe_unused]] pid_t child)
    {
#if defined(__x86_64__)
        const auto now = ::ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, regs.rip), nullptr);
        return std::exchange(last_, now) != now;
#else
        return true;
#endif
    }

private:
    long last_ = 0;
};

// It stops before and after each system call.
inline bool begins(pid_t child, long wanted)
{
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0)
        throw std::runtime_error("ptrace does not say which system call it is");
    return info.op == PTRACE_SYSCALL_INFO_ENTRY &&
           (wanted == any_call || static_cast<long>(info.entry.nr) == wanted);
}

inline tally follow(pid_t child, event what, long call)
{
    place at;
    constexpr int call_stop = SIGTRAP | 0x80;
    bool counting = false;
    tally seen;
    for (int status = wait_for(child); !WIFEXITED(status); status = wait_for(child)) {
        if (!WIFSTOPPED(status))
            throw std::runtime_error("the counted process died");
        int deliver = 0;
        switch (const int signal = WSTOPSIG(status)) {
        case SIGUSR1:
            counting = !counting;
            at = place();
            seen.spans += counting ? 1 : 0;
            break;
        case SIGSTOP: ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD); break;
        case SIGTRAP: seen.events += counting && at.moved(child) ? 1 : 0; break;
        case call_stop: seen.events += counting && begins(child, call) ? 1 : 0; break;
        default: deliver = signal;
        }
        const auto resume = !counting                     ? PTRACE_CONT
                            : what == event::instructions ? PTRACE_SINGLESTEP
                                                          : PTRACE_SYSCALL;
        if (::ptrace(resume, child, nullptr, deliver) != 0)
            throw std::runtime_error(
                "ptrace failed: this machine does not let a process be traced");
    }
    return seen;
}

template <class Body>
tally count(event what, long call, Body body)
{
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child < 0)
        throw std::runtime_error("fork failed");
    if (child == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        std::raise(SIGSTOP);
        try {
            body();
        } catch (...) {
            std::abort();
        }
        ::_exit(0);
    }
    return follow(child, what, call);
}

} // namespace detail

// The events of the spans that `body` marks; what a mark itself costs is taken off. `call`: the
// only system call that counts.
template <class Body>
std::uint64_t count(event what, Body body, long call = any_call)
{
    const auto one = detail::count(what, call, [] {
        mark();
        mark();
    });
    const auto all = detail::count(what, call, body);
    if (all.spans == 0)
        throw std::logic_error("the body marked no span");
    return all.events - all.spans * one.events;
}

} // namespace bench

#endif
