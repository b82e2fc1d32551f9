// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_ASKING_HPP
#define LOOPSAFE_ASYNC_DETAIL_ASKING_HPP

#include <loopsafe/context/detail/find.hpp>
#include <loopsafe/context/detail/inheriting_executor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>

#include <type_traits>
#include <typeinfo>

// The caller's context: the one that the executor of its coroutine, or of its handler, names.
namespace loopsafe::detail {

// An executor type that can never name a context: system_executor, inline_executor, use_future's.
template <class Executor>
constexpr bool never_names_a_context =
    executor_of_a_promise<Executor> || !std::is_constructible_v<asio::any_io_executor, Executor> ||
    requires(const Executor& ex) {
        { asio::query(ex, asio::execution::context) } -> std::same_as<asio::system_context&>;
    };

template <class Handler>
using handler_executor = asio::associated_executor_t<std::decay_t<Handler>>;

template <class Handler>
asio::any_io_executor executor_of(const Handler& handler)
{
    if constexpr (never_names_a_context<handler_executor<Handler>>)
        return {};
    else
        return asio::any_io_executor(asio::get_associated_executor(handler));
}

template <class Handler>
bool has_empty_executor(const Handler& handler) noexcept
{
    if constexpr (std::is_same_v<handler_executor<Handler>, asio::any_io_executor>)
        return !asio::get_associated_executor(handler);
    else
        return false;
}

// Like queried_context(), but tries the most likely types first: one call through a pointer less.
// What describes a type is compared by its address, since one that differs is compared as text.
template <class Executor>
asio::execution_context* asking_context(const Executor& executor) noexcept
{
    if constexpr (std::is_same_v<Executor, asio::any_io_executor>) {
        const auto* const type = &executor.target_type();
        if (type == &typeid(loop_executor))
            return &executor.template target<loop_executor>()->context();
        using inheriting = inheriting_executor<loop_executor>;
        if (type == &typeid(inheriting))
            return &executor.template target<inheriting>()->inner().context();
    }
    return queried_context(executor);
}

template <class Handler>
asio::execution_context* context_of_handler(const Handler& handler) noexcept
{
    if constexpr (never_names_a_context<handler_executor<Handler>>)
        return nullptr;
    else
        return asking_context(asio::get_associated_executor(handler));
}

} // namespace loopsafe::detail

#endif
