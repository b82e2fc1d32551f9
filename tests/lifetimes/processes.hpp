// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_PROCESSES_HPP
#define LOOPSAFE_TESTS_LIFETIMES_PROCESSES_HPP

#include <boost/asio/ip/tcp.hpp>

#include <doctest/doctest.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <netinet/tcp.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

/// Processes that are forked, frozen and thawed.
namespace lifetimes {

/// A forked child that runs `body`. Its status is what `body` returns; 0 is good.
class child {
public:
    template <class Body>
    explicit child(Body body)
    {
        std::fflush(nullptr);
        std::cout.flush();
        id_ = ::fork();
        REQUIRE(id_ >= 0);
        if (id_ == 0) {
            try {
                ::_exit(body());
            } catch (const std::exception& e) {
                std::fprintf(stderr, "child: %s\n", e.what());
                ::_exit(101);
            }
        }
    }
    child(const child&) = delete;
    ~child()
    {
        if (id_ > 0) {
            ::kill(id_, SIGKILL);
            wait();
        }
    }

    void signal(int number) { REQUIRE(::kill(id_, number) == 0); }

    void wait_until_stopped()
    {
        int status = 0;
        REQUIRE(::waitpid(id_, &status, WUNTRACED) == id_);
        REQUIRE(WIFSTOPPED(status));
    }

    int wait()
    {
        int status = 0;
        const auto ended = ::waitpid(std::exchange(id_, -1), &status, 0);
        return ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 200;
    }

private:
    ::pid_t id_;
};

/// A way to say "go on" to the other process.
class cue {
public:
    cue() { REQUIRE(::pipe(ends_.data()) == 0); }
    cue(const cue&) = delete;
    ~cue()
    {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    bool give() const { return ::write(ends_[1], "!", 1) == 1; }
    bool await() const
    {
        char byte = 0;
        return ::read(ends_[0], &byte, 1) == 1;
    }

private:
    std::array<int, 2> ends_{};
};

/// The first thing that is not so, by its line; 0 where all is well.
#define LOOPSAFE_TESTS_EXPECT(...)                                                                 \
    if (!(__VA_ARGS__)) {                                                                          \
        std::fprintf(stderr, "child: %s:%d: not so: %s\n", __FILE__, __LINE__, #__VA_ARGS__);      \
        return 1;                                                                                  \
    }

/// Closes the peer's end and waits until the other end knows it.
inline void hang_up(boost::asio::ip::tcp::socket& peer)
{
    peer.shutdown(boost::asio::ip::tcp::socket::shutdown_send);
    ::tcp_info info{};
    do {
        ::socklen_t size = sizeof info;
        REQUIRE(::getsockopt(peer.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
        std::this_thread::yield();
    } while (info.tcpi_state != TCP_FIN_WAIT2);
    peer.close();
}

} // namespace lifetimes

#endif
