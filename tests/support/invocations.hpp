// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_INVOCATIONS_HPP
#define LOOPSAFE_TESTS_SUPPORT_INVOCATIONS_HPP

#include <loopsafe/runner.hpp>
#include <loopsafe/testing/lambda_invocation.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <optional>
#include <string>

namespace support {

/// An invocation without a runtime.
class one_invocation {
public:
    explicit one_invocation(std::string event,
                            std::optional<std::chrono::steady_clock::time_point> due = std::nullopt)
        : in_(loopsafe::testing::make_invocation(std::move(event), {.due = due}))
    {
    }

    operator loopsafe::lambda::invocation&() noexcept { return in_; }

private:
    loopsafe::lambda::invocation in_;
};

/// What a handler answers to an event.
template <class Handler>
std::string answer_to(Handler& handler, const std::string& event)
{
    one_invocation in(event);
    std::string answer;
    const auto main = [&]() -> boost::asio::awaitable<void> { answer = co_await handler(in); };
    loopsafe::run(main);
    return answer;
}

} // namespace support

#endif
