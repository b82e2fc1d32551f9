// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_TWO_CONTEXTS_HPP
#define LOOPSAFE_TESTING_TWO_CONTEXTS_HPP

#include <loopsafe/async/detail/first_error.hpp>
#include <loopsafe/context/ref.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace loopsafe::testing {

namespace detail {

using loopsafe::detail::first_error;

// Not a template, so that a test file compiles it once whatever its operations give.
inline void run_to_end(boost::asio::io_context& context, boost::asio::awaitable<void> operation)
{
    struct ending {
        std::exception_ptr error;
        bool reached = false;
        boost::asio::cancellation_signal cancel;
    };
    const auto end = std::make_shared<ending>(); // the operation may end after this function
    boost::asio::co_spawn(context, std::move(operation),
                          boost::asio::bind_cancellation_slot(
                              end->cancel.slot(), [end](const std::exception_ptr& error) {
                                  end->error = error;
                                  end->reached = true;
                              }));
    context.restart();
    first_error of_others;
    bool more = true;
    while (more && !end->reached) {
        if (!of_others.try_to([&] { more = context.run_one() != 0; }))
            of_others.try_to([&] {
                boost::asio::post(context, [end] { // on the context
                    if (!end->reached)
                        end->cancel.emit(boost::asio::cancellation_type::terminal);
                });
            });
    }
    of_others.rethrow();
    if (end->error != nullptr)
        std::rethrow_exception(end->error);
    if (!end->reached)
        throw std::logic_error("testing::run_on: nothing will wake the operation");
}

template <class T>
boost::asio::awaitable<void> keep_result(boost::asio::awaitable<T> operation,
                                         std::shared_ptr<std::optional<T>> value)
{
    value->emplace(co_await std::move(operation));
}

} // namespace detail

/// Runs `operation` on `context` to its end and returns its result. Other work of the context
/// continues meanwhile. Throws what the operation throws, and `std::logic_error` if nothing can
/// wake it.
template <class T>
T run_on(boost::asio::io_context& context, boost::asio::awaitable<T> operation)
{
    if constexpr (std::is_void_v<T>) {
        detail::run_to_end(context, std::move(operation));
    } else {
        const auto value = std::make_shared<std::optional<T>>();
        detail::run_to_end(context, detail::keep_result(std::move(operation), value));
        return std::move(**value);
    }
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
