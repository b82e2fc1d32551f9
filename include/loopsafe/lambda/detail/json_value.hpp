// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_JSON_VALUE_HPP
#define LOOPSAFE_LAMBDA_DETAIL_JSON_VALUE_HPP

#include <loopsafe/detail/demangled.hpp>
#include <loopsafe/detail/json.hpp>
#include <loopsafe/lambda/function_error.hpp>

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

// Between the bytes of an event or an answer, Boost.JSON, and the types of the user.
namespace loopsafe::lambda::detail {

inline boost::json::value parse_event(std::string_view text)
{
    auto read = loopsafe::detail::read_json(text);
    if (read.wrong)
        throw unmarshal_error("the event is no JSON: " + read.wrong.message() + " at byte " +
                                  std::to_string(read.at),
                              read.at);
    return std::move(read.value);
}

template <class T>
T value_to_event(boost::json::value&& value)
{
    if constexpr (std::is_same_v<T, boost::json::value>) {
        return std::move(value);
    } else {
        try {
            return boost::json::value_to<T>(value);
        } catch (const std::bad_alloc&) {
            throw;
        } catch (const function_error&) { // which says more
            throw;
        } catch (...) {
            std::throw_with_nested(unmarshal_error("the event is JSON, but no " +
                                                   loopsafe::detail::demangled(typeid(T).name())));
        }
    }
}

template <class T>
T event_to(std::string_view text)
{
    return value_to_event<T>(parse_event(text));
}

inline std::string write_answer(const boost::json::value& answer)
{
    auto written = loopsafe::detail::write_json(answer);
    if (!written.wrong.empty())
        throw marshal_error("the answer has " + written.wrong);
    return std::move(written.text);
}

template <class T>
std::string answer_from(T&& answer)
{
    using type = std::decay_t<T>;
    if constexpr (std::is_same_v<type, boost::json::value>) {
        return write_answer(answer);
    } else {
        boost::json::value value;
        try {
            value = boost::json::value_from(std::forward<T>(answer));
        } catch (const std::bad_alloc&) {
            throw;
        } catch (const function_error&) {
            throw;
        } catch (...) {
            std::throw_with_nested(marshal_error("a " +
                                                 loopsafe::detail::demangled(typeid(type).name()) +
                                                 " could not be made JSON"));
        }
        return write_answer(value);
    }
}

} // namespace loopsafe::lambda::detail

#endif
