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

template <class T>
asio::awaitable<value_or_monostate<T>> as_value(asio::awaitable<T> operation)
{
    if constexpr (std::is_void_v<T>) {
        co_await std::move(operation);
        co_return std::monostate();
    } else {
        co_return co_await std::move(operation);
    }
}

// The first error cancels the others.
class failing_scope : public scope {
public:
    using scope::scope;

protected:
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
    using failing_scope::failing_scope;

    template <std::size_t I, class Operation>
    static asio::awaitable<void> run(Operation operation, all_of* self)
    {
        std::get<I>(self->values).emplace(co_await as_value(std::move(operation)));
    }

    bool has_all() const noexcept
    {
        return std::apply([](const auto&... each) { return (each.has_value() && ...); }, values);
    }

    std::tuple<std::optional<value_or_monostate<T>>...> values;
};

// The first to end decides, with a value or an error.
template <class... T>
class first_of final : public failing_scope {
public:
    using failing_scope::failing_scope;

    template <std::size_t I, class Operation>
    static asio::awaitable<void> run(Operation operation, first_of* self)
    {
        auto value = co_await as_value(std::move(operation));
        if (self->value || self->has_error())
            co_return;
        self->value.emplace(std::in_place_index<I>, std::move(value));
        self->cancel();
    }

    std::optional<std::variant<value_or_monostate<T>...>> value;

private:
    void failed(const std::exception_ptr& error, const std::source_location& started) override
    {
        if (value)
            report_quietly(get_executor(), error);
        else
            failing_scope::failed(error, started);
    }
};

// The first value decides.
template <class... T>
class first_value_of final : public failing_scope {
public:
    explicit first_value_of(const asio::any_io_executor& executor) : failing_scope(executor)
    {
        errors.reserve(sizeof...(T));
    }

    template <std::size_t I, class Operation>
    static asio::awaitable<void> run(Operation operation, first_value_of* self)
    {
        auto value = co_await as_value(std::move(operation));
        if (self->value)
            co_return;
        self->value.emplace(std::in_place_index<I>, std::move(value));
        self->cancel();
    }

    std::optional<std::variant<value_or_monostate<T>...>> value;
    std::vector<std::exception_ptr> errors;

private:
    void failed(const std::exception_ptr& error, const std::source_location&) override
    {
        if (value)
            report_quietly(get_executor(), error);
        else
            errors.push_back(error); // there is room for all
    }
};

template <class Scope, class... Operation, std::size_t... I>
asio::awaitable<std::shared_ptr<Scope>> run_together(std::index_sequence<I...>,
                                                     Operation... operations)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    auto together = std::make_shared<Scope>(executor);
    const auto start = [&](Scope& s) {
        (s.start([operation = std::move(operations),
                  &s]() mutable { return Scope::template run<I>(std::move(operation), &s); },
                 {}),
         ...);
    };
    co_return co_await run_scope(std::move(together), start);
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
    using together = detail::all_of<T...>;
    const auto ended = co_await detail::run_together<together>(std::index_sequence_for<T...>(),
                                                               std::move(operations)...);
    ended->rethrow_error();
    if (ended->was_cancelled_by_caller() || !ended->has_all())
        detail::throw_cancelled();
    co_return std::apply(
        [](auto&... each) {
            return std::tuple<detail::value_or_monostate<T>...>(std::move(*each)...);
        },
        ended->values);
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
    using together = detail::first_of<T...>;
    const auto ended = co_await detail::run_together<together>(std::index_sequence_for<T...>(),
                                                               std::move(operations)...);
    ended->rethrow_error();
    if (ended->was_cancelled_by_caller() || !ended->value)
        detail::throw_cancelled();
    co_return std::move(*ended->value);
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
    using together = detail::first_value_of<T...>;
    const auto ended = co_await detail::run_together<together>(std::index_sequence_for<T...>(),
                                                               std::move(operations)...);
    ended->rethrow_error();
    if (ended->was_cancelled_by_caller())
        detail::throw_cancelled();
    if (!ended->value)
        throw all_failed(std::move(ended->errors));
    co_return std::move(*ended->value);
}

} // namespace loopsafe

#endif
