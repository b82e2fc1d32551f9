// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_LAMBDA_PEER_HPP
#define LOOPSAFE_TESTS_BENCH_LAMBDA_PEER_HPP

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

// A Runtime API that says the same again and again, and answers any other GET, too.
namespace bench {

constexpr std::string_view lambda_event =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/json\r\n"
    "Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n"
    "Lambda-Runtime-Deadline-Ms: 600000\r\n"
    "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-2:123456789012:function:f\r\n"
    "Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1\r\n"
    "Content-Length: 11\r\n"
    "\r\n"
    "{\"order\":7}";
constexpr std::string_view lambda_accepted = "HTTP/1.1 202 Accepted\r\n"
                                             "Content-Type: application/json\r\n"
                                             "Content-Length: 16\r\n"
                                             "\r\n"
                                             "{\"status\":\"OK\"}\n";
constexpr std::string_view lambda_registered = "HTTP/1.1 200 OK\r\n"
                                               "Lambda-Extension-Identifier: 7\r\n"
                                               "Content-Length: 2\r\n"
                                               "\r\n"
                                               "{}";
constexpr std::string_view lambda_page = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

class lambda_peer {
public:
    lambda_peer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        ::sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::socklen_t size = sizeof at;
        auto* const address = reinterpret_cast<::sockaddr*>(&at);
        if (::bind(listener_, address, size) != 0 || ::listen(listener_, 64) != 0 ||
            ::getsockname(listener_, address, &size) != 0)
            throw std::runtime_error("cannot listen");
        port_ = ntohs(at.sin_port);
    }
    lambda_peer(const lambda_peer&) = delete;
    ~lambda_peer()
    {
        for (const auto& each : callers_)
            ::close(each.socket);
        ::close(listener_);
    }

    unsigned short port() const noexcept { return port_; }

    // Answers, and returns when it was asked for the first event.
    void serve_until_next()
    {
        for (asked_ = false; !asked_;)
            turn(false);
    }
    [[noreturn]] void serve()
    {
        for (;;)
            turn(true);
    }

private:
    struct caller {
        int socket;
        std::string seen;
    };

    void turn(bool answers_next)
    {
        std::vector<::pollfd> all{{listener_, POLLIN, 0}};
        for (const auto& each : callers_)
            all.push_back({each.socket, POLLIN, 0});
        ::poll(all.data(), all.size(), -1);
        if (all[0].revents != 0)
            callers_.push_back({::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), {}});
        for (auto i = all.size() - 1; i != 0; --i) {
            if (all[i].revents != 0 && !take(callers_[i - 1], answers_next)) {
                ::close(callers_[i - 1].socket);
                callers_.erase(callers_.begin() + static_cast<std::ptrdiff_t>(i - 1));
            }
        }
    }

    // False: it has hung up.
    bool take(caller& from, bool answers_next)
    {
        std::array<char, 65536> some;
        const auto got = ::recv(from.socket, some.data(), some.size(), 0);
        if (got <= 0)
            return false;
        auto& seen = from.seen;
        seen.append(some.data(), static_cast<std::size_t>(got));
        for (auto end = seen.find("\r\n\r\n"); end != seen.npos; end = seen.find("\r\n\r\n")) {
            const auto length = seen.find("Content-Length: ");
            const auto body =
                length < end ? std::strtoul(seen.c_str() + length + 16, nullptr, 10) : 0;
            if (seen.size() < end + 4 + body)
                break;
            answer(from, std::string_view(seen).substr(0, seen.find("\r\n")), answers_next);
            seen.erase(0, end + 4 + body);
        }
        return true;
    }

    void answer(const caller& to, std::string_view request, bool answers_next)
    {
        const auto asks = [&](std::string_view what) { return request.find(what) != request.npos; };
        if (asks("/event/next"))
            return;
        if (asks("/invocation/next")) {
            asked_ = true;
            if (!answers_next)
                return;
        }
        const auto text = asks("/invocation/next") ? lambda_event
                          : asks("/extension/")    ? lambda_registered
                          : asks("POST")           ? lambda_accepted
                                                   : lambda_page;
        ::send(to.socket, text.data(), text.size(), MSG_NOSIGNAL);
    }

    int listener_;
    unsigned short port_ = 0;
    bool asked_ = false;
    std::vector<caller> callers_;
};

// The same in a process of its own, so that what it does is not counted.
class lambda_peer_process {
public:
    lambda_peer_process() : process_(::fork())
    {
        if (process_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            peer_.serve();
        }
    }
    lambda_peer_process(const lambda_peer_process&) = delete;
    ~lambda_peer_process()
    {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }

    unsigned short port() const noexcept { return peer_.port(); }

private:
    lambda_peer peer_;
    pid_t process_;
};

} // namespace bench

#endif
