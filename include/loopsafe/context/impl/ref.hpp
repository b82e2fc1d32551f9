// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_IMPL_REF_HPP
#define LOOPSAFE_CONTEXT_IMPL_REF_HPP

#include <boost/asio/this_coro.hpp>

namespace loopsafe {
namespace detail {

struct context_access {
    static context_ref make(std::shared_ptr<context_state> state) noexcept
    {
        return context_ref(std::move(state));
    }

    static const std::shared_ptr<context_state>& state(const context_ref& ref) noexcept
    {
        return ref.state_;
    }
};

inline context_ref meet(asio::execution_context* context, const std::source_location& where)
{
    if (context == nullptr)
        return {};
    const auto& state = state_of(*context);
    state->meet(where);
    return context_access::make(state);
}

} // namespace detail

template <class T>
    requires detail::context_type<T> || detail::executor_type<T> || detail::has_executor<T>
context_ref context_of(T&& x, std::source_location where)
{
    return detail::meet(detail::named_context(x), where);
}

template <class Executor>
boost::asio::awaitable<context_ref, Executor> this_context(std::source_location where)
{
    co_return context_of(co_await boost::asio::this_coro::executor, where);
}

template <class T>
    requires detail::context_type<T> || detail::executor_type<T> || detail::has_executor<T>
context_ref name_context(T&& x, std::string name, std::source_location where)
{
    auto ref = detail::meet(detail::named_context(x), where);
    if (!ref) {
        throw context_error({.code = errc::no_context,
                             .resource = "name_context(\"" + name + "\")",
                             .home = {},
                             .asked = {},
                             .operation = "naming",
                             .used = where,
                             .advice = "name an io_context or a thread_pool"});
    }
    detail::context_access::state(ref)->name(std::move(name), context_origin::named, where);
    return ref;
}

} // namespace loopsafe

#endif
