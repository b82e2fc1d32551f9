// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_TWO_CONTEXTS_HPP
#define LOOPSAFE_TESTING_TWO_CONTEXTS_HPP

#include <loopsafe/context/ref.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace loopsafe::testing {

/// Runs `operation` on `context` to its end and returns its result. Other work of the context
/// continues meanwhile. Throws what the operation throws, and `std::logic_error` if nothing can
/// wake it.
template <class T>
T run_on(boost::asio::io_context& context, boost::asio::awaitable<T> operation)
{
    struct outcome {
        std::optional<std::conditional_t<std::is_void_v<T>, bool, T>> value;
        std::exception_ptr error;
        bool done = false;
    };
    const auto result = std::make_shared<outcome>(); // the operation may end after this function
    boost::asio::co_spawn(
        context,
        [](auto inner, auto out) -> boost::asio::awaitable<void> {
            if constexpr (std::is_void_v<T>)
                co_await std::move(inner);
            else
                out->value.emplace(co_await std::move(inner));
        }(std::move(operation), result),
        [result](const std::exception_ptr& error) {
            result->error = error;
            result->done = true;
        });
    context.restart();
    while (!result->done && context.run_one() != 0) {}
    if (result->error != nullptr)
        std::rethrow_exception(result->error);
    if (!result->done)
        throw std::logic_error("testing::run_on: nothing will wake the operation");
    if constexpr (!std::is_void_v<T>)
        return std::move(*result->value);
}

/// Two contexts, and one that can be replaced: the smallest set-up to test loop safety.
struct two_contexts {
    boost::asio::io_context a{1};
    boost::asio::io_context b{1};
};

/// A context that can be destroyed and made again in the same place, so at the same address.
class mortal_context {
public:
    mortal_context() { context_.emplace(1); }

    boost::asio::io_context& operator*() noexcept { return *context_; }
    boost::asio::io_context* operator->() noexcept { return &*context_; }

    void die() noexcept { context_.reset(); }
    void reborn()
    {
        context_.reset();
        context_.emplace(1);
    }

private:
    std::optional<boost::asio::io_context> context_;
};

} // namespace loopsafe::testing

#endif
