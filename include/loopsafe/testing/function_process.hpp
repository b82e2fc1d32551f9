// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_FUNCTION_PROCESS_HPP
#define LOOPSAFE_TESTING_FUNCTION_PROCESS_HPP

#include <loopsafe/testing/detail/lambda_service/bell.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace loopsafe::testing {

/// A function's program, and what it is given.
struct function_options {
    std::string program; ///< a path
    std::vector<std::string> arguments{};
    /// Beside what AWS sets: AWS_LAMBDA_RUNTIME_API, AWS_LAMBDA_FUNCTION_NAME, and so on. Nothing
    /// else comes from the test's own environment but PATH, LD_LIBRARY_PATH and what sanitizers
    /// read.
    std::vector<std::pair<std::string, std::string>> environment{};
    std::string handler = "bootstrap"; ///< _HANDLER
};

/// How a process ended.
struct function_exit {
    int code = -1;  ///< what it returned; -1: it did not, a signal ended it
    int signal = 0; ///< which one

    friend bool operator==(const function_exit&, const function_exit&) = default;
};

namespace detail {
class child_process;
}

/// A function's process, as `lambda_service::start()` gives it. It is killed when this is destroyed
/// or the service is, whichever comes first, and when the test's own process ends, however that
/// ends.
///
/// Thread safety: distinct objects safe, shared objects safe for const members. The operations are
/// for coroutines on any context, one at a time.
class function_process {
public:
    function_process(function_process&&) noexcept = default;
    function_process& operator=(function_process&&) = delete;
    ~function_process();

    pid_t pid() const noexcept { return pid_; }

    /// What it has written to its standard output and error up to now.
    std::string output() const;

    /// Sends a signal, unless it has ended.
    void signal(int number) const;
    void kill() const { signal(SIGKILL); }

    /// Waits until it has ended. Per-operation cancellation: all types; nothing is lost.
    boost::asio::awaitable<function_exit> exit() const;

    /// Waits until it has written this, or ended: then false. The same for cancellation.
    boost::asio::awaitable<bool> says(std::string text) const;

private:
    friend class lambda_service;
    struct heard {
        std::string output;
        std::optional<function_exit> exit;
    };
    using news = detail::bell<heard>;
    friend class detail::child_process;

    function_process(pid_t pid, std::shared_ptr<news> from) noexcept
        : pid_(pid), news_(std::move(from))
    {
    }

    static boost::asio::awaitable<function_exit> wait_for_exit(std::shared_ptr<news> from);
    static boost::asio::awaitable<bool> wait_for(std::shared_ptr<news> from, std::string text);

    pid_t pid_;
    std::shared_ptr<news> news_;
};

/// What came of `lambda_service::terminate()`.
struct termination {
    bool asked = false;  ///< it got SIGTERM: an extension was registered
    bool killed = false; ///< it got SIGKILL
    std::chrono::nanoseconds took{};
};

inline function_process::~function_process()
{
    if (news_ != nullptr)
        kill();
}

inline std::string function_process::output() const
{
    return news_->look([](const heard& all) { return all.output; });
}

inline void function_process::signal(int number) const
{
    news_->look([&](const heard& all) { return all.exit ? 0 : ::kill(pid_, number); });
}

inline boost::asio::awaitable<function_exit> function_process::exit() const
{
    return wait_for_exit(news_);
}

inline boost::asio::awaitable<bool> function_process::says(std::string text) const
{
    return wait_for(news_, std::move(text));
}

inline boost::asio::awaitable<function_exit>
function_process::wait_for_exit(std::shared_ptr<news> from)
{
    co_await from->wait_until([](const heard& all) { return all.exit.has_value(); });
    co_return from->look([](const heard& all) { return *all.exit; });
}

inline boost::asio::awaitable<bool> function_process::wait_for(std::shared_ptr<news> from,
                                                               std::string text)
{
    const auto said = [&](const heard& all) { return all.output.find(text) != all.output.npos; };
    co_await from->wait_until([&](const heard& all) { return all.exit || said(all); });
    co_return from->look(said);
}

} // namespace loopsafe::testing

#endif
