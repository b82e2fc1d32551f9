// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_CHILD_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_CHILD_HPP

#include <loopsafe/testing/detail/lambda_service/bell.hpp>
#include <loopsafe/testing/detail/lambda_service/processes.hpp>
#include <loopsafe/testing/function_process.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace loopsafe::testing::detail {

namespace asio = boost::asio;

// A process of the service's, which ends with the service's thread at the latest.
class child_process : public std::enable_shared_from_this<child_process> {
public:
    using heard = function_process::heard;

    child_process(asio::io_context& context, const function_options& how,
                  const std::vector<std::string>& environment)
        : child_process(context) // destroyed if the rest fails
    {
        std::array<int, 2> pipe{};
        if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
            throw_errno("lambda_service: pipe");
        asio::posix::stream_descriptor writing(context);
        own(writing, pipe[1]);
        own(output_, pipe[0]);

        // All that the child needs is made before the fork: only system calls are allowed after it.
        std::vector<std::string> arguments = how.arguments;
        arguments.insert(arguments.begin(), how.program);
        std::vector<std::string> settings = environment;
        auto argv = pointers(arguments);
        auto envp = pointers(settings);
        const auto parent = ::getpid();
        pid = ::fork();
        if (pid < 0)
            throw_errno("lambda_service: fork");
        if (pid == 0)
            become(parent, pipe[1], argv.data(), envp.data());
        own(end_, open_process(pid));
    }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;
    ~child_process()
    {
        if (pid > 0 && !reaped_) {
            ::kill(pid, SIGKILL);
            reap();
        }
    }

    // What it says, until nobody can say more.
    asio::awaitable<void> listen()
    {
        const auto self = shared_from_this();
        for (bool open = true; open;) {
            const auto [ec, n] = co_await output_.async_read_some(
                asio::buffer(some_), asio::as_tuple(asio::use_awaitable));
            hear(n);
            open = !ec;
        }
    }

    // Until it has ended. Processes of its own may still hold its output open.
    asio::awaitable<function_exit> watch()
    {
        const auto self = shared_from_this();
        co_await end_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        boost::system::error_code ec;
        end_.close(ec);
        output_.non_blocking(true, ec);
        while (!ec)
            hear(output_.read_some(asio::buffer(some_), ec));
        co_return reap();
    }

    pid_t pid = -1;
    const std::shared_ptr<bell<heard>> news;

private:
    explicit child_process(asio::io_context& context)
        : news(std::make_shared<bell<heard>>()), output_(context), end_(context)
    {
    }

    static void own(asio::posix::stream_descriptor& to, int fd)
    {
        boost::system::error_code ec;
        to.assign(fd, ec);
        if (!ec)
            return;
        ::close(fd);
        throw boost::system::system_error(ec, "lambda_service: a descriptor");
    }

    static std::vector<char*> pointers(std::vector<std::string>& texts)
    {
        std::vector<char*> all;
        for (auto& text : texts)
            all.push_back(text.data());
        all.push_back(nullptr);
        return all;
    }

    [[noreturn]] static void become(pid_t parent, int output, char* const* argv,
                                    char* const* envp) noexcept
    {
        // The parent may have ended before it was asked to take this process along.
        if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent)
            ::_exit(126);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::signal(SIGPIPE, SIG_DFL);
        const int nothing = ::open("/dev/null", O_RDONLY);
        if (nothing < 0 || ::dup2(nothing, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 ||
            ::dup2(output, STDERR_FILENO) < 0)
            ::_exit(126);
        ::syscall(SYS_close_range, 3U, ~0U, 0U); // the service's sockets must end with the service
        ::execve(argv[0], argv, envp);
        ::_exit(127);
    }

    void hear(std::size_t n)
    {
        news->tell([&](heard& all) { all.output.append(some_.data(), n); });
    }

    function_exit reap() noexcept
    {
        function_exit how;
        news->tell([&](heard& all) { // whoever signals it looks there first
            int status = 0;
            while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
            if (WIFEXITED(status))
                how.code = WEXITSTATUS(status);
            if (WIFSIGNALED(status))
                how.signal = WTERMSIG(status);
            all.exit = how;
        });
        reaped_ = true;
        return how;
    }

    std::array<char, 4096> some_;
    asio::posix::stream_descriptor output_;
    asio::posix::stream_descriptor end_;
    bool reaped_ = false;
};

} // namespace loopsafe::testing::detail

#endif
