// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_HTTP_SERVERS_HPP
#define LOOPSAFE_TESTS_BENCH_HTTP_SERVERS_HPP

#include "http_peers.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

// Servers that are faster than their clients, each in a process of its own that is told its core.
namespace bench {

inline std::vector<int> cores()
{
    cpu_set_t mine;
    CPU_ZERO(&mine);
    ::sched_getaffinity(0, sizeof mine, &mine);
    std::vector<int> all;
    for (int i = 0; i != CPU_SETSIZE; ++i) {
        if (CPU_ISSET(i, &mine))
            all.push_back(i);
    }
    if (all.size() < 2)
        throw std::runtime_error("a client and a server need a core each; this machine lends one");
    return all;
}

// Of what this process, and all that it starts, may run on.
inline void pin(int core)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    if (::sched_setaffinity(0, sizeof one, &one) != 0)
        throw std::runtime_error("this process is not allowed to choose its core");
}

// Another process, on a core of its own, that ends with this one.
class process {
public:
    template <class Body>
    process(int core, Body body) : id_(::fork())
    {
        if (id_ < 0)
            throw std::runtime_error("fork failed");
        if (id_ != 0)
            return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(core);
        body();
        std::abort();
    }
    process(const process&) = delete;
    process& operator=(const process&) = delete;
    ~process()
    {
        ::kill(id_, SIGKILL);
        ::waitpid(id_, nullptr, 0);
    }

    bool ended() const { return ::waitpid(id_, nullptr, WNOHANG) != 0; }

private:
    pid_t id_;
};

// Knows one answer, and spends on it what the system calls cost: a server that does more is the
// slower side, so that all clients look alike. One that sleeps is woken by what the client sends,
// at the client's expense, so on a core of its own it should not.
class responder {
public:
    enum class when_idle { sleeps, polls };

    responder(int core, when_idle what)
        : timeout_(what == when_idle::sleeps ? -1 : 0),
          acceptor_(context_, {asio::ip::address_v4::loopback(), 0}),
          process_(core, [this] { serve(); })
    {
    }

    page answers() const { return {.port = acceptor_.local_endpoint().port()}; }

private:
    void serve()
    {
        std::signal(SIGPIPE, SIG_IGN);
        const int all = ::epoll_create1(0);
        const int listening = acceptor_.native_handle();
        const auto watch = [all](int fd) {
            epoll_event wanted{};
            wanted.events = EPOLLIN;
            wanted.data.fd = fd;
            ::epoll_ctl(all, EPOLL_CTL_ADD, fd, &wanted);
        };
        watch(listening);
        for (std::array<epoll_event, 64> ready;;) {
            const int count = ::epoll_wait(all, ready.data(), ready.size(), timeout_);
            for (int i = 0; i < count; ++i) {
                const int fd = ready[static_cast<std::size_t>(i)].data.fd;
                if (fd == listening) {
                    auto fresh = acceptor_.accept();
                    fresh.set_option(tcp::no_delay(true));
                    watch(fresh.release());
                } else if (!answer_to(fd)) {
                    ::close(fd);
                }
            }
        }
    }

    static bool answer_to(int fd)
    {
        std::array<char, 4096> some;
        const auto got = ::recv(fd, some.data(), some.size(), 0);
        if (got <= 0)
            return false;
        return !std::string_view(some.data(), static_cast<std::size_t>(got))
                    .ends_with("\r\n\r\n") ||
               ::send(fd, answer.data(), answer.size(), 0) > 0;
    }

    const int timeout_;
    asio::io_context context_{1};
    tcp::acceptor acceptor_;
    process process_;
};

// nginx with two files in memory.
class nginx {
public:
    static constexpr std::size_t small = 150;
    static constexpr std::size_t large = 5 * 1024 * 1024;

    explicit nginx(int core) : port_(free_port()), process_(core, [this] { become(); })
    {
        asio::io_context context;
        for (const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);;) {
            tcp::socket trying(context);
            boost::system::error_code ec;
            trying.connect(page{.port = port_}.endpoint(), ec);
            if (!ec)
                return;
            if (process_.ended() || std::chrono::steady_clock::now() > give_up)
                throw std::runtime_error("nginx does not start");
        }
    }

    page small_file() const { return {port_, "/small.txt", small}; }
    page large_file() const { return {port_, "/large.bin", large}; }

private:
    struct directory {
        // Below build/, also where this process is killed and cannot remove it.
        std::string path =
            std::filesystem::read_symlink("/proc/self/exe").parent_path() / "nginx.XXXXXX";
        directory()
        {
            if (::mkdtemp(path.data()) == nullptr)
                throw std::runtime_error("no directory to be had for nginx");
        }
        directory(const directory&) = delete;
        directory& operator=(const directory&) = delete;
        ~directory()
        {
            std::error_code ec;
            std::filesystem::remove_all(path, ec);
        }
    };

    static unsigned short free_port()
    {
        asio::io_context context;
        return tcp::acceptor(context, {asio::ip::address_v4::loopback(), 0})
            .local_endpoint()
            .port();
    }

    void become()
    {
        const auto& at = directory_.path;
        std::ofstream(at + "/small.txt") << std::string(small, 's');
        std::ofstream(at + "/large.bin") << std::string(large, 'l');
        std::ofstream(at + "/conf")
            << "daemon off; master_process off; pid " << at << "/pid; error_log stderr crit;\n"
            << "events { worker_connections 512; }\n"
            << "http {\n"
            << "default_type text/plain; access_log off; sendfile on; open_file_cache max=16;\n"
            << "open_file_cache_valid 1h; keepalive_timeout 1h; keepalive_requests 1000000000;\n"
            << "client_body_temp_path " << at << "/tmp; proxy_temp_path " << at << "/tmp;\n"
            << "fastcgi_temp_path " << at << "/tmp; uwsgi_temp_path " << at << "/tmp;\n"
            << "scgi_temp_path " << at << "/tmp;\n"
            << "server { listen 127.0.0.1:" << port_ << "; root " << at << "; }\n"
            << "}\n"
            << std::flush;
        ::setenv("PATH", (std::string(std::getenv("PATH")) + ":/usr/sbin").c_str(), 1);
        const auto conf = at + "/conf";
        ::execlp("nginx", "nginx", "-e", "stderr", "-p", at.c_str(), "-c", conf.c_str(), nullptr);
    }

    directory directory_;
    unsigned short port_;
    process process_;
};

} // namespace bench

#endif
