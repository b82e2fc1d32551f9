// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_CANCELLABLE_HPP
#define LOOPSAFE_ASYNC_DETAIL_CANCELLABLE_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// Cancels a coroutine of co_spawn, on its executor. Boost 1.81 throws a cancellation out of the
// context if it comes before the coroutine has begun, or in one that ends without a wait:
// run_cancellable() keeps it from both.
class cancellable {
public:
    asio::cancellation_slot slot() noexcept { return signal_.slot(); }

    void emit(asio::cancellation_type type)
    {
        if (begun_)
            signal_.emit(type);
        else if ((type & asio::cancellation_type::terminal) != asio::cancellation_type::none)
            unwanted_ = true;
    }

    void begin()
    {
        if (unwanted_)
            throw boost::system::system_error(asio::error::operation_aborted);
        begun_ = true;
    }

private:
    asio::cancellation_signal signal_;
    bool begun_ = false;
    bool unwanted_ = false; // cancelled before it has begun
};

// The function lives in this frame, since its coroutine may refer to its captures. Whoever
// completes the coroutine keeps `how`.
template <class F, class Awaitable = std::invoke_result_t<F&>>
Awaitable run_cancellable(F function, cancellable& how)
{
    constexpr bool has_value = !std::is_same_v<Awaitable, asio::awaitable<void>>;
    std::optional<std::conditional_t<has_value, typename Awaitable::value_type, bool>> value;
    std::exception_ptr error;
    try {
        how.begin();
        if constexpr (has_value)
            value.emplace(co_await std::invoke(function));
        else
            co_await std::invoke(function);
    } catch (...) {
        error = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    if (error != nullptr)
        std::rethrow_exception(error);
    if constexpr (has_value)
        co_return *std::move(value);
}

template <class T>
asio::awaitable<T> run_cancellable(asio::awaitable<T> operation, cancellable& how)
{
    return run_cancellable([o = std::move(operation)]() mutable { return std::move(o); }, how);
}

} // namespace loopsafe::detail

#endif
