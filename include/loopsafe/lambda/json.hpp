// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_JSON_HPP
#define LOOPSAFE_LAMBDA_JSON_HPP

#include <loopsafe/lambda/detail/event_function.hpp>
#include <loopsafe/lambda/detail/json_value.hpp>
#include <loopsafe/lambda/invocation.hpp>

#include <boost/asio/awaitable.hpp>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace loopsafe::lambda {

/// What `json()` makes: a handler, which outlives its calls.
template <class Parameter, class F>
class json_handler {
public:
    explicit json_handler(F function) : function_(std::move(function)) {}

    boost::asio::awaitable<std::string> operator()(invocation& in)
    {
        using event_type = std::remove_cvref_t<Parameter>;
        auto event = detail::event_to<event_type>(in.event());
        auto operation = detail::call_with_event<F, Parameter>(function_, event, in);
        if constexpr (std::is_void_v<detail::event_result<F, Parameter>>) {
            co_await std::move(operation);
            co_return "null";
        } else {
            auto answer = co_await std::move(operation);
            co_return detail::answer_from(std::move(answer));
        }
    }

private:
    F function_;
};

/// A handler that takes its event, and gives its answer, as types of the user's, by Boost.JSON.
///
///     lambda::serve(lambda::json([](order o, lambda::invocation& in) -> asio::awaitable<receipt> {
///         ...
///     }));
///
/// `function` is `asio::awaitable<Answer>(Event)` or `asio::awaitable<Answer>(Event, invocation&)`.
/// The event is converted by `boost::json::value_to`, the answer by `boost::json::value_from`: so
/// each has a `tag_invoke`, is described (Boost.Describe), is one of the standard types, or is a
/// `boost::json::value`. `void` answers `null`. Where `function` is generic, say what it takes:
/// `lambda::json<order>(function)`.
///
/// One source file of the program contains `#include <boost/json/src.hpp>`, or the program is
/// linked to Boost.JSON.
///
/// Errors: `unmarshal_error` where the event is no JSON (RFC 8259, at most 32 arrays and objects in
/// each other), or cannot be converted; `marshal_error` where the answer cannot. What a conversion
/// throws is nested in these. All that `function` throws, as it is; `bad_alloc`.
/// Cancellation: that of `function`.
/// Thread safety: that of `function`. Complexity: linear in the event and the answer.
template <class Event = detail::as_declared, class F>
auto json(F&& function)
{
    using function_type = std::decay_t<F>;
    if constexpr (std::is_same_v<Event, detail::as_declared> &&
                  !detail::declares_event<function_type>) {
        static_assert(detail::declares_event<function_type>,
                      "lambda::json takes a function of the event; where it is generic, name the "
                      "event: lambda::json<order>(function)");
    } else {
        using parameter = typename detail::event_parameter<Event, function_type>::type;
        using event_type = std::remove_cvref_t<parameter>;
        constexpr bool is_view = loopsafe::detail::is_view_of_json<event_type>;
        constexpr bool has_conversion = loopsafe::detail::is_read_from_json<event_type>;
        static_assert(detail::event_function<function_type, parameter>,
                      "lambda::json takes a function of the event, or of the event and an "
                      "invocation&, that returns an asio::awaitable");
        static_assert(!is_view, "the event of lambda::json would be a view of what is gone: take a "
                                "std::string");
        static_assert(has_conversion,
                      "the event of lambda::json has no conversion from JSON: write "
                      "tag_invoke(boost::json::value_to_tag<T>, const boost::json::value&) in the "
                      "namespace of T, or take a boost::json::value");
        if constexpr (detail::event_function<function_type, parameter> && has_conversion) {
            using answer = std::decay_t<detail::event_result<function_type, parameter>>;
            static_assert(std::is_void_v<answer> || loopsafe::detail::is_written_as_json<answer>,
                          "the answer of lambda::json has no conversion to JSON: write "
                          "tag_invoke(boost::json::value_from_tag, boost::json::value&, const T&) "
                          "in the namespace of T, or give a boost::json::value");
            return json_handler<parameter, function_type>(std::forward<F>(function));
        }
    }
}

} // namespace loopsafe::lambda

#endif
