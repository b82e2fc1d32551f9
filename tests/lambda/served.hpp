// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LAMBDA_SERVED_HPP
#define LOOPSAFE_TESTS_LAMBDA_SERVED_HPP

#include <loopsafe/lambda.hpp>
#include <loopsafe/testing/lambda_service.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace lambda_support {

namespace asio = boost::asio;
namespace lambda = loopsafe::lambda;
namespace testing = loopsafe::testing;
using testing::at;
using testing::block_on;
using testing::fault;
using testing::lambda_reply;
using testing::lambda_service;

/// A variable of the environment, for as long as this lives.
class variable {
public:
    variable(const char* name, const std::string& value) : name_(name)
    {
        ::setenv(name, value.c_str(), 1);
    }
    variable(const variable&) = delete;
    ~variable() { ::unsetenv(name_); }

private:
    const char* name_;
};

/// What a runtime logs.
class log_lines {
public:
    lambda::log_function writer()
    {
        return [lines = lines_](std::string_view line) {
            const std::lock_guard lock(lines->mutex);
            lines->all.emplace_back(line);
        };
    }
    std::vector<std::string> all() const
    {
        const std::lock_guard lock(lines_->mutex);
        return lines_->all;
    }
    bool has(std::string_view part) const
    {
        const auto lines = all();
        return std::any_of(lines.begin(), lines.end(),
                           [&](const std::string& l) { return l.find(part) != l.npos; });
    }

private:
    struct shared {
        std::mutex mutex;
        std::vector<std::string> all;
    };
    std::shared_ptr<shared> lines_ = std::make_shared<shared>();
};

/// A runtime on a thread of its own, which serves events of a service. SIGTERM is the process's, so
/// only who says so waits for it.
template <class Policy, class Service = lambda_service>
class served {
public:
    template <class Handler>
    served(const Service& from, Handler handler, lambda::runtime_options options = {},
           bool ends_on_sigterm = false)
        : runtime_(adapted(std::move(options), from, log_, ends_on_sigterm))
    {
        thread_ = std::jthread(
            [this, h = std::move(handler)]() mutable { code_ = runtime_.serve(std::move(h)); });
    }
    served(const served&) = delete;
    ~served() { runtime_.stop(); }

    /// Its exit code, once it has ended by itself.
    int end()
    {
        thread_.join();
        return code_;
    }
    int stop()
    {
        runtime_.stop();
        return end();
    }
    const log_lines& log() const noexcept { return log_; }
    lambda::basic_runtime<Policy>& runtime() noexcept { return runtime_; }

private:
    static lambda::runtime_options adapted(lambda::runtime_options options, const Service& from,
                                           log_lines& log, bool ends_on_sigterm)
    {
        options.endpoint = from.endpoint();
        options.ends_on_sigterm = ends_on_sigterm;
        options.log = log.writer();
        return options;
    }

    log_lines log_;
    lambda::basic_runtime<Policy> runtime_;
    int code_ = -1;
    std::jthread thread_;
};

/// How many invocations at once a `concurrent` runtime serves now, and a service is to give.
inline std::size_t at_once()
{
    const char* const most = std::getenv("AWS_LAMBDA_MAX_CONCURRENCY");
    return most != nullptr ? static_cast<std::size_t>(std::atoi(most)) : 1;
}

/// Calls `use` once for each policy, as `use.template operator()<Policy>()`; what is concurrent
/// serves one invocation at once, and four.
template <class Use>
void for_each_policy(const Use& use)
{
    SUBCASE("context_kept")
    {
        use.template operator()<lambda::context_kept>();
    }
    SUBCASE("context_per_invocation")
    {
        use.template operator()<lambda::context_per_invocation>();
    }
    SUBCASE("concurrent, one at once")
    {
        const variable most("AWS_LAMBDA_MAX_CONCURRENCY", "1");
        use.template operator()<lambda::concurrent>();
    }
    SUBCASE("concurrent, four at once")
    {
        const variable most("AWS_LAMBDA_MAX_CONCURRENCY", "4");
        use.template operator()<lambda::concurrent>();
    }
}

} // namespace lambda_support

#endif
