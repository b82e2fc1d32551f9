// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_DETAIL_FIND_HPP
#define LOOPSAFE_CONTEXT_DETAIL_FIND_HPP

#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/relationship.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/system_executor.hpp>

#include <concepts>
#include <memory>
#include <type_traits>

namespace loopsafe::detail {

namespace asio = boost::asio;

template <class T>
concept context_type = std::derived_from<std::remove_cvref_t<T>, asio::execution_context>;

template <class T>
concept executor_type = asio::execution::is_executor<std::remove_cvref_t<T>>::value;

template <class T>
concept has_executor = !executor_type<T> && requires(T& x) {
    { x.get_executor() } -> executor_type;
};

template <class Executor>
concept type_erased_executor = requires(const Executor& ex) {
    static_cast<bool>(ex);
    ex.template target<asio::system_executor>();
};

// use_future runs on the system_context too, but neither the type of its executor nor that of the
// executor's context shows it. The shape of the type is all that identifies it.
template <class Executor>
inline constexpr bool executor_of_a_promise = false;
template <template <class, class> class Promise, class T, class Blocking>
    requires std::same_as<Blocking, asio::execution::blocking_t::possibly_t> ||
                 std::same_as<Blocking, asio::execution::blocking_t::never_t>
inline constexpr bool executor_of_a_promise<Promise<T, Blocking>> = true;

template <class Blocking, class Executor>
bool holds_system_executor(const Executor& ex) noexcept
{
    using fork = asio::execution::relationship_t::fork_t;
    using continuation = asio::execution::relationship_t::continuation_t;
    using allocator = std::allocator<void>;
    return ex.template target<asio::basic_system_executor<Blocking, fork, allocator>>() ||
           ex.template target<asio::basic_system_executor<Blocking, continuation, allocator>>();
}

// Null for an executor that is empty or has no context. A system_context inside a type-erased
// executor is not detected here: that check costs more, and only a refusal needs it.
template <executor_type Executor>
asio::execution_context* queried_context(const Executor& ex) noexcept
{
    if constexpr (executor_of_a_promise<Executor>) {
        return nullptr;
    } else if constexpr (asio::can_query<const Executor&, asio::execution::context_t>::value) {
        if constexpr (type_erased_executor<Executor>) {
            if (!ex)
                return nullptr;
        }
        using result = decltype(asio::query(ex, asio::execution::context));
        if constexpr (std::is_same_v<std::remove_cvref_t<result>, asio::system_context>)
            return nullptr;
        else if constexpr (std::is_convertible_v<result, asio::execution_context&>)
            return &static_cast<asio::execution_context&>(
                asio::query(ex, asio::execution::context));
        else
            return nullptr;
    } else {
        return nullptr;
    }
}

// Null if the executor names no context: empty, system_executor, or without that property.
template <executor_type Executor>
asio::execution_context* named_context(const Executor& ex) noexcept
{
    if constexpr (type_erased_executor<Executor>) {
        using blocking = asio::execution::blocking_t;
        if (!ex || holds_system_executor<blocking::possibly_t>(ex) ||
            holds_system_executor<blocking::never_t>(ex) ||
            holds_system_executor<blocking::always_t>(ex))
            return nullptr;
    }
    return queried_context(ex);
}

template <context_type Context>
asio::execution_context* named_context(Context& context) noexcept
{
    if constexpr (std::is_same_v<Context, asio::system_context>)
        return nullptr;
    else
        return &context;
}

template <has_executor T>
    requires(!context_type<T>)
asio::execution_context* named_context(T& x) noexcept
{
    return named_context(x.get_executor());
}

} // namespace loopsafe::detail

#endif
