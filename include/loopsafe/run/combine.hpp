// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_COMBINE_HPP
#define LOOPSAFE_RUN_COMBINE_HPP

#include <loopsafe/run/detail/scope.hpp>

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace loopsafe {

/// Thrown by `first_success()` if every operation fails. `code()` is `errc::all_failed`; `what()`
/// has the texts of all errors.
class all_failed : public boost::system::system_error {
public:
    explicit all_failed(std::vector<std::exception_ptr> errors)
        : system_error(make_error_code(errc::all_failed), text_of(errors)),
          errors_(std::make_shared<const std::vector<std::exception_ptr>>(std::move(errors)))
    {
    }

    /// In the order in which the operations failed.
    const std::vector<std::exception_ptr>& errors() const noexcept { return *errors_; }

private:
    static std::string text_of(const std::vector<std::exception_ptr>& errors)
    {
        std::string text;
        for (const auto& each : errors) {
            if (!text.empty())
                text += "; ";
            try {
                std::rethrow_exception(each);
            } catch (const std::exception& e) {
                text += e.what();
            } catch (...) {
                text += "an exception that is no std::exception";
            }
        }
        return text;
    }

    std::shared_ptr<const std::vector<std::exception_ptr>> errors_;
};

namespace detail {

template <class T>
using value_or_monostate = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// A child of one of the scopes below: does what run_cancellable() does.
template <std::size_t I, class Scope, class T>
asio::awaitable<void> run_operation(asio::awaitable<T> operation, Scope* in, cancellable& how)
{
    std::exception_ptr error;
    try {
        how.begin();
        if constexpr (std::is_void_v<T>) {
            co_await std::move(operation);
            in->template take<I>(std::monostate());
        } else {
            in->template take<I>(co_await std::move(operation));
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    if (error != nullptr)
        std::rethrow_exception(error);
}

// The first error cancels the others.
class failing_scope : public scope {
public:
    using scope::scope;

    template <std::size_t... I, class Scope, class... T>
    static void start_each(std::index_sequence<I...>, Scope& in, asio::awaitable<T>&... operations)
    {
        (in.start_by(
             [&](cancellable& how) { return run_operation<I>(std::move(operations), &in, how); },
             {}),
         ...);
    }

protected:
    void throw_if_ended_early() const
    {
        rethrow_error();
        if (was_cancelled_by_caller())
            throw_cancelled();
    }

    void failed(const std::exception_ptr& error, const std::source_location&) override
    {
        if (has_error())
            report_quietly(get_executor(), error);
        else
            fail(error);
        cancel();
    }
};

template <class... T>
class all_of final : public failing_scope {
public:
    using result_type = std::tuple<value_or_monostate<T>...>;

    using failing_scope::failing_scope;

    template <std::size_t I, class Value>
    void take(Value&& value)
    {
        std::get<I>(values_).emplace(std::forward<Value>(value));
    }

    result_type result()
    {
        throw_if_ended_early();
        return std::apply(
            [](auto&... each) {
                if (!(each.has_value() && ...))
                    throw_cancelled();
                return result_type(std::move(*each)...);
            },
            values_);
    }

private:
    std::tuple<std::optional<value_or_monostate<T>>...> values_;
};

// The first to end decides, with a value or an error.
template <class... T>
class first_of final : public failing_scope {
public:
    using result_type = std::variant<value_or_monostate<T>...>;

    using failing_scope::failing_scope;

    template <std::size_t I, class Value>
    void take(Value&& value)
    {
        if (value_ || has_error())
            return;
        value_.emplace(std::in_place_index<I>, std::forward<Value>(value));
        cancel();
    }

    result_type result()
    {
        throw_if_ended_early();
        if (!value_)
            throw_cancelled();
        return std::move(*value_);
    }

private:
    void failed(const std::exception_ptr& error, const std::source_location& started) override
    {
        if (value_)
            report_quietly(get_executor(), error);
        else
            failing_scope::failed(error, started);
    }

    std::optional<result_type> value_;
};

// The first value decides.
template <class... T>
class first_value_of final : public failing_scope {
public:
    using result_type = std::variant<value_or_monostate<T>...>;

    explicit first_value_of(const asio::any_io_executor& executor) : failing_scope(executor)
    {
        errors_.reserve(sizeof...(T));
    }

    template <std::size_t I, class Value>
    void take(Value&& value)
    {
        if (value_)
            return;
        value_.emplace(std::in_place_index<I>, std::forward<Value>(value));
        cancel();
    }

    result_type result()
    {
        throw_if_ended_early();
        if (!value_)
            throw all_failed(std::move(errors_));
        return std::move(*value_);
    }

private:
    void failed(const std::exception_ptr& error, const std::source_location&) override
    {
        if (value_)
            report_quietly(get_executor(), error);
        else
            errors_.push_back(error); // there is room for all
    }

    std::optional<result_type> value_;
    std::vector<std::exception_ptr> errors_;
};

// The operations live in the frame until their tasks begin.
template <class Scope, class... T>
asio::awaitable<typename Scope::result_type> run_together(asio::awaitable<T>&... operations)
{
    auto start = [... each = std::move(operations)](Scope& in) mutable {
        Scope::start_each(std::index_sequence_for<T...>(), in, each...);
    };
    return run_scope<Scope>(std::move(start));
}

} // namespace detail

/// Runs the operations together, each as a task of its own, and gives all their values; `void`
/// becomes `std::monostate`.
///
///     auto [user, orders] = co_await all(fetch_user(id), fetch_orders(id));
///
/// When one fails, the others are cancelled (terminal) and awaited, and its error is thrown as it
/// is. Errors of others are rethrown at the end of `run()` or of the `runner`, as that of a task of
/// `spawn()` is; what a cancellation ends is no error.
///
/// Precondition: as `with_tasks()`.
/// Errors: the first error; else `operation_aborted` if the caller was cancelled; `bad_alloc`.
/// Cancellation: terminal; the operations are awaited.
template <class... T>
boost::asio::awaitable<std::tuple<detail::value_or_monostate<T>...>>
all(boost::asio::awaitable<T>... operations)
{
    return detail::run_together<detail::all_of<T...>>(operations...);
}

/// Runs the operations together, and gives what the first to end gives: its value, at its index, or
/// its error. The others are cancelled (terminal) and awaited.
///
///     auto which = co_await race(answer(), stop_requested());
///
/// Precondition, cancellation and errors: as `all()`.
template <class... T>
    requires(sizeof...(T) != 0)
boost::asio::awaitable<std::variant<detail::value_or_monostate<T>...>>
race(boost::asio::awaitable<T>... operations)
{
    return detail::run_together<detail::first_of<T...>>(operations...);
}

/// Runs the operations together, and gives the first value; those that are still running are
/// cancelled (terminal) and awaited.
///
/// Precondition and cancellation: as `all()`.
/// Errors: `all_failed`, with every error, if none succeeds; else as `all()`.
template <class... T>
    requires(sizeof...(T) != 0)
boost::asio::awaitable<std::variant<detail::value_or_monostate<T>...>>
first_success(boost::asio::awaitable<T>... operations)
{
    return detail::run_together<detail::first_value_of<T...>>(operations...);
}

} // namespace loopsafe

#endif
