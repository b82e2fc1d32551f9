// SPDX-License-Identifier: BSL-1.0
// A process that makes one GET or one query and ends: the examples, built as examples/small builds
// them, beside the same on a bare socket or with libpq alone, linked in the same way.
#include "measure.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace bench;

constexpr int processes = 401;

void require(bool holds, const std::string& what)
{
    if (!holds)
        throw std::runtime_error(what);
}

// Answers every GET on a process of its own.
class server {
public:
    server()
    {
        const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ::sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::socklen_t size = sizeof at;
        auto* const address = reinterpret_cast<::sockaddr*>(&at);
        require(::bind(listener, address, size) == 0 && ::listen(listener, 16) == 0 &&
                    ::getsockname(listener, address, &size) == 0,
                "cannot listen");
        url_ = "http://127.0.0.1:" + std::to_string(ntohs(at.sin_port)) + '/';
        process_ = ::fork();
        if (process_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                serve(::accept(listener, nullptr, nullptr));
        }
        ::close(listener);
    }
    ~server()
    {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }

    const std::string& url() const { return url_; }

private:
    static void serve(int caller)
    {
        constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        std::string seen;
        std::array<char, 4096> some;
        for (auto got = ::recv(caller, some.data(), some.size(), 0); got > 0;
             got = ::recv(caller, some.data(), some.size(), 0)) {
            seen.append(some.data(), static_cast<std::size_t>(got));
            if (!seen.ends_with("\r\n\r\n"))
                continue;
            seen.clear();
            if (::send(caller, answer.data(), answer.size(), MSG_NOSIGNAL) < 0)
                break;
        }
        ::close(caller);
    }

    std::string url_;
    pid_t process_ = 0;
};

// A program that prints what it got, and its only argument.
struct program {
    std::string path;
    std::string argument;

    std::array<char*, 3> words()
    {
        return {path.data(), argument.empty() ? nullptr : argument.data(), nullptr};
    }
};

double milliseconds(program one)
{
    ::posix_spawn_file_actions_t silent;
    ::posix_spawn_file_actions_init(&silent);
    ::posix_spawn_file_actions_addopen(&silent, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const auto words = one.words();
    int status = -1;
    const auto spent = nanoseconds([&] {
        pid_t child = 0;
        require(::posix_spawn(&child, one.path.c_str(), &silent, nullptr, words.data(), environ) ==
                    0,
                "cannot start " + one.path);
        ::waitpid(child, &status, 0);
    });
    ::posix_spawn_file_actions_destroy(&silent);
    require(status == 0, one.path + " failed");
    return spent / 1e6;
}

// The most memory that it had at a time, in kB: what wait4() says includes the memory that the
// process had before it became the program.
double peak(program one)
{
    const pid_t child = ::fork();
    if (child == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
        const auto words = one.words();
        ::execv(one.path.c_str(), words.data());
        ::_exit(2);
    }
    double most = 0;
    int status = 0;
    require(::waitpid(child, &status, 0) == child && WIFSTOPPED(status), "cannot trace");
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACEEXIT);
    for (int deliver = 0; !WIFEXITED(status);) {
        require(::ptrace(PTRACE_CONT, child, nullptr, deliver) == 0 &&
                    ::waitpid(child, &status, 0) == child && !WIFSIGNALED(status),
                one.path + " died");
        deliver = WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP ? WSTOPSIG(status) : 0;
        if (status >> 8 != (SIGTRAP | (PTRACE_EVENT_EXIT << 8)))
            continue;
        std::ifstream about("/proc/" + std::to_string(child) + "/status");
        for (std::string word; about >> word;)
            if (word == "VmHWM:")
                about >> most;
    }
    require(WEXITSTATUS(status) == 0 && most > 0, one.path + " failed");
    return most;
}

double kilobytes(const program& one)
{
    return static_cast<double>(std::filesystem::file_size(one.path)) / 1000;
}

void compare(const std::string& what, const std::string& how, const program& ours,
             const program& bare, std::optional<double> most)
{
    const auto spent = least(
        1, processes, [&](int) { return milliseconds(ours); },
        [&](int) { return milliseconds(bare); });
    row(what + ", " + how, spent[0], "ms", spent[1], most);
    row(what + ", " + how + ", peak memory", peak(ours), "kB", peak(bare));
    row(what + ", " + how + ", size of the program", kilobytes(ours), "kB", kilobytes(bare));
}

} // namespace

int main()
{
    const char* const built = std::getenv("LOOPSAFE_SMALL");
    const char* const postgres = std::getenv("LOOPSAFE_POSTGRES");
    require(built != nullptr && postgres != nullptr, "run this through tests/run --bench cold");
    ::setenv("LOOPSAFE_POSTGRES", (std::string(postgres) + " sslmode=disable").c_str(), 1);
    const server web;
    for (const bool statically : {true, false}) {
        const auto from = std::string(built) + (statically ? "/static/" : "/shared/");
        const auto* const how = statically ? "linked statically" : "all libraries shared";
        const auto most = [&](double limit) {
            return statically ? std::optional(limit) : std::nullopt;
        };
        compare("a process with one GET", how, {from + "http", web.url()},
                {from + "bare_http", web.url()}, most(1.25));
        compare("a process with one query", how, {from + "postgres", {}},
                {from + "bare_postgres", {}}, most(1.3));
    }
}
