// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_PROCESSES_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_PROCESSES_HPP

#include <loopsafe/testing/function_process.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <sched.h>
#include <set>
#include <string>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// Processes, whose children they may be.
namespace loopsafe::testing::detail {

namespace asio = boost::asio;

[[noreturn]] inline void throw_errno(const char* what)
{
    throw boost::system::system_error(errno, boost::system::system_category(), what);
}

// Becomes readable when the process has ended, whose child it may be. Throws where there is none.
inline int open_process(pid_t pid)
{
    const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (fd < 0)
        throw_errno("lambda_service: pidfd_open");
    return fd;
}

// R, S, T, Z, ...; nothing where there is no such process.
inline char process_state(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto name_ends = text.rfind(") ");
    return name_ends == text.npos || name_ends + 2 >= text.size() ? '\0' : text[name_ends + 2];
}

// Returns when it stands still, or has gone. False: there is none.
inline bool stop_process(pid_t pid)
{
    if (::kill(pid, SIGSTOP) != 0)
        return false;
    for (;;) {
        switch (process_state(pid)) {
        case 'T':
        case 't': return true;
        case 'Z':
        case 'X':
        case '\0': return false;
        default: ::sched_yield();
        }
    }
}

// Those that stand still until the next event.
class frozen_processes {
public:
    frozen_processes() = default;
    frozen_processes(const frozen_processes&) = delete;
    frozen_processes& operator=(const frozen_processes&) = delete;
    ~frozen_processes() { thaw(); }

    bool freeze(pid_t pid)
    {
        const bool stopped = stop_process(pid);
        if (stopped)
            all_.insert(pid);
        return stopped;
    }
    void thaw() noexcept
    {
        for (const auto pid : all_)
            ::kill(pid, SIGCONT);
        all_.clear();
    }

private:
    std::set<pid_t> all_;
};

// Politely: SIGTERM, and SIGKILL once its time is over; else SIGKILL.
inline asio::awaitable<termination> end_process(asio::io_context& context, pid_t pid, bool politely,
                                                std::chrono::milliseconds within,
                                                frozen_processes& frozen)
{
    struct ending { // which the limit may outlive
        explicit ending(asio::io_context& on) : process(on) {}

        void signal(int number) noexcept // not to another process that has its number meanwhile
        {
            ::syscall(SYS_pidfd_send_signal, process.native_handle(), number, nullptr, 0);
        }

        asio::posix::stream_descriptor process;
        termination how;
        bool over = false;
    };
    const auto begun = std::chrono::steady_clock::now();
    const auto end = std::make_shared<ending>(context);
    if (const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); fd >= 0) {
        end->process.assign(fd);
        end->how.asked = politely;
        end->how.killed = !politely;
        asio::steady_timer limit(context);
        loopsafe::detail::expire_after(limit, within);
        limit.async_wait([end](const boost::system::error_code& ec) {
            if (ec || end->over)
                return;
            end->how.killed = true;
            end->signal(SIGKILL);
        });
        end->signal(politely ? SIGTERM : SIGKILL);
        frozen.thaw();
        co_await end->process.async_wait(asio::posix::stream_descriptor::wait_read,
                                         asio::use_awaitable);
        end->over = true;
    }
    end->how.took = std::chrono::steady_clock::now() - begun;
    co_return end->how;
}

} // namespace loopsafe::testing::detail

#endif
