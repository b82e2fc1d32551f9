// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_EVENT_FUNCTION_HPP
#define LOOPSAFE_LAMBDA_DETAIL_EVENT_FUNCTION_HPP

#include <loopsafe/lambda/invocation.hpp>

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <type_traits>
#include <utility>

// Functions of an event, with or without the invocation.
namespace loopsafe::lambda::detail {

struct as_declared; // the event is what the function takes

template <class F>
struct first_parameter {};
template <class F>
    requires requires { &F::operator(); }
struct first_parameter<F> : first_parameter<decltype(&F::operator())> {};
template <class R, class First, class... Rest>
struct first_parameter<R (*)(First, Rest...)> {
    using type = First;
};
template <class R, class First, class... Rest>
struct first_parameter<R (*)(First, Rest...) noexcept> : first_parameter<R (*)(First, Rest...)> {};
template <class R, class C, class... Parameters>
struct first_parameter<R (C::*)(Parameters...)> : first_parameter<R (*)(Parameters...)> {};
template <class R, class C, class... Parameters>
struct first_parameter<R (C::*)(Parameters...) const> : first_parameter<R (*)(Parameters...)> {};
template <class R, class C, class... Parameters>
struct first_parameter<R (C::*)(Parameters...) noexcept> : first_parameter<R (*)(Parameters...)> {};
template <class R, class C, class... Parameters>
struct first_parameter<R (C::*)(Parameters...) const noexcept>
    : first_parameter<R (*)(Parameters...)> {};

template <class F>
concept declares_event = requires { typename first_parameter<F>::type; };

// How the function takes the event: by value, or by a reference of some kind.
template <class Event, class F>
struct event_parameter {
    using type = Event;
};
template <class F>
    requires declares_event<F>
struct event_parameter<as_declared, F> : first_parameter<F> {};

template <class T>
struct awaited;
template <class T>
struct awaited<boost::asio::awaitable<T>> {
    using type = T;
};

template <class F, class Parameter>
decltype(auto) call_with_event(F& function, std::remove_reference_t<Parameter>& event,
                               invocation& in)
{
    if constexpr (std::is_invocable_v<F&, Parameter&&, invocation&>)
        return std::invoke(function, std::forward<Parameter>(event), in);
    else
        return std::invoke(function, std::forward<Parameter>(event));
}

template <class F, class Parameter>
concept event_function =
    (std::is_invocable_v<F&, Parameter&&, invocation&> || std::is_invocable_v<F&, Parameter&&>) &&
    requires(F& f, std::remove_reference_t<Parameter>& event, invocation& in) {
        typename awaited<decltype(call_with_event<F, Parameter>(f, event, in))>::type;
    };

template <class F, class Parameter>
using event_result = typename awaited<decltype(call_with_event<F, Parameter>(
    std::declval<F&>(), std::declval<std::remove_reference_t<Parameter>&>(),
    std::declval<invocation&>()))>::type;

} // namespace loopsafe::lambda::detail

#endif
