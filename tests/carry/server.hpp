// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_CARRY_SERVER_HPP
#define LOOPSAFE_TESTS_CARRY_SERVER_HPP

#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <carry/caller.hpp>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <support/certificates.hpp>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace carry {

/// A server on the loopback with one thread for all its callers, which never waits for any of them.
/// What it says is the dialect's business; and at any time it can be told to do something else with
/// one of its callers.
class server {
public:
    /// Called with every byte that came and is not used up yet.
    using dialect = std::function<void(caller&)>;
    using deed = std::function<void(caller&)>;

    /// `tls_version`: 0 for none, else TLS1_2_VERSION or TLS1_3_VERSION.
    explicit server(dialect what, int tls_version = 0) : dialect_(std::move(what))
    {
        if (tls_version != 0) {
            const auto root = certificates::make({.alternative = "", .authority = true});
            root.save(root_file());
            context_.reset(SSL_CTX_new(TLS_server_method()));
            certificates::use(context_.get(),
                              certificates::make({.alternative = "IP:127.0.0.1"}, &root));
            SSL_CTX_set_min_proto_version(context_.get(), tls_version);
            SSL_CTX_set_max_proto_version(context_.get(), tls_version);
            SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
            caller::make_long_tickets(context_.get());
        }
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ::sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        certificates::require(::bind(listener_, as_address(any), sizeof any) == 0 &&
                              ::listen(listener_, 128) == 0);
        ::socklen_t size = sizeof any;
        ::getsockname(listener_, as_address(any), &size);
        port_ = ntohs(any.sin_port);
        wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        thread_ = std::thread([this] { run(); });
    }
    server(const server&) = delete;
    server& operator=(const server&) = delete;
    ~server()
    {
        {
            const std::lock_guard lock(mutex_);
            stopped_ = true;
        }
        wake();
        thread_.join();
        callers_.clear();
        ::close(listener_);
        ::close(wake_);
    }

    unsigned short port() const noexcept { return port_; }
    std::string root_file() const { return directory_.file("root.pem"); }

    /// Does that with the caller of this port, or with all for 0, and returns when it is done.
    void tell(unsigned short port, deed what)
    {
        std::unique_lock lock(mutex_);
        told_.push_back({port, std::move(what)});
        const auto mine = ++orders_;
        wake();
        done_.wait(lock, [&] { return performed_ >= mine; });
    }

    int accepted() const noexcept { return accepted_; }
    /// Requests that are not what a client of this test says.
    int wrong()
    {
        const std::lock_guard lock(heard_);
        return wrong_;
    }
    std::string first_wrong()
    {
        const std::lock_guard lock(heard_);
        return first_wrong_;
    }

    /// The client's ends of its connections that are open in this process.
    struct descriptor {
        int number;
        unsigned short port;
    };
    std::vector<descriptor> client_descriptors() const
    {
        std::vector<descriptor> found;
        for (int number = 3; number != 128; ++number) {
            ::sockaddr_in address{};
            ::socklen_t size = sizeof address;
            if (::getpeername(number, as_address(address), &size) != 0 ||
                address.sin_family != AF_INET || ntohs(address.sin_port) != port_)
                continue;
            size = sizeof address;
            ::getsockname(number, as_address(address), &size);
            found.push_back({number, ntohs(address.sin_port)});
        }
        return found;
    }

private:
    struct order {
        unsigned short port;
        deed what;
    };

    static ::sockaddr* as_address(::sockaddr_in& address) noexcept
    {
        return reinterpret_cast<::sockaddr*>(&address);
    }

    void wake() const noexcept { ::eventfd_write(wake_, 1); }

    void run()
    {
        sigset_t pipe;
        ::sigemptyset(&pipe);
        ::sigaddset(&pipe, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
        for (;;) {
            std::vector<::pollfd> watched{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
            for (const auto& each : callers_)
                watched.push_back({each.descriptor(), each.interest(), 0});
            ::poll(watched.data(), watched.size(), -1);
            auto seen = watched.begin() + 2;
            for (auto each = callers_.begin(); each != callers_.end(); ++seen) {
                if ((seen->revents & (POLLERR | POLLHUP)) != 0)
                    each->deaf = false;
                if (seen->revents != 0)
                    serve(*each);
                each = each->ended() ? callers_.erase(each) : std::next(each);
            }
            if (watched[1].revents != 0)
                accept();
            if (watched[0].revents != 0 && !obey())
                return;
        }
    }

    void serve(caller& c)
    {
        if (c.receive() && !c.in.empty())
            dialect_(c);
        if (!c.complaint.empty()) {
            const std::lock_guard lock(heard_);
            ++wrong_;
            const auto about = std::exchange(c.complaint, {});
            if (wrong_ == 1)
                first_wrong_ = about;
        }
        c.send();
    }

    void accept()
    {
        for (;;) {
            ::sockaddr_in from{};
            ::socklen_t size = sizeof from;
            const int taken =
                ::accept4(listener_, as_address(from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (taken < 0)
                return;
            const int on = 1;
            ::setsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            callers_.emplace_back(taken, ntohs(from.sin_port), context_.get());
            ++accepted_;
        }
    }

    bool obey()
    {
        ::eventfd_t ignored = 0;
        ::eventfd_read(wake_, &ignored);
        accept(); // whoever was there before the order
        const std::lock_guard lock(mutex_);
        for (const auto& each : told_) {
            for (auto& c : callers_) {
                if (each.port == 0 || each.port == c.port()) {
                    each.what(c);
                    serve(c);
                }
            }
            ++performed_;
        }
        told_.clear();
        done_.notify_all();
        return !stopped_;
    }

    certificates::directory directory_;
    std::unique_ptr<SSL_CTX, loopsafe::detail::c_deleter<&SSL_CTX_free>> context_;
    const dialect dialect_;
    int listener_ = -1;
    int wake_ = -1;
    unsigned short port_ = 0;
    std::list<caller> callers_; // of the thread
    std::atomic<int> accepted_ = 0;
    std::mutex heard_;
    int wrong_ = 0;
    std::string first_wrong_;
    std::mutex mutex_;
    std::condition_variable done_;
    std::vector<order> told_;
    int orders_ = 0;
    int performed_ = 0;
    bool stopped_ = false;
    std::thread thread_;
};

/// Returns when something has come there, be it the end.
inline void await_input(int descriptor)
{
    ::pollfd one{descriptor, POLLIN, 0};
    while (::poll(&one, 1, -1) < 0 && errno == EINTR) {}
}

} // namespace carry

#endif
