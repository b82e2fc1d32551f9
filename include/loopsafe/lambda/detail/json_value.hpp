// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_JSON_VALUE_HPP
#define LOOPSAFE_LAMBDA_DETAIL_JSON_VALUE_HPP

#include <loopsafe/lambda/detail/type_name.hpp>
#include <loopsafe/lambda/detail/utf8.hpp>
#include <loopsafe/lambda/function_error.hpp>

#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

// Between the bytes of an event or an answer, Boost.JSON, and the types of the user.
namespace loopsafe::lambda::detail {

inline boost::json::value parse_event(std::string_view text)
{
    boost::json::parse_options options;
    options.max_depth = 32;
    boost::json::parser parser({}, options);
    boost::system::error_code ec;
    const auto at = parser.write(text.data(), text.size(), ec);
    if (ec)
        throw unmarshal_error(
            "the event is no JSON: " + ec.message() + " at byte " + std::to_string(at), at);
    return parser.release();
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
            std::throw_with_nested(
                unmarshal_error("the event is JSON, but no " + demangled(typeid(T).name())));
        }
    }
}

template <class T>
T event_to(std::string_view text)
{
    return value_to_event<T>(parse_event(text));
}

inline bool all_numbers_are_finite(const boost::json::value& value)
{
    if (const auto* number = value.if_double())
        return std::isfinite(*number);
    if (const auto* array = value.if_array())
        return std::all_of(array->begin(), array->end(), all_numbers_are_finite);
    if (const auto* object = value.if_object())
        return std::all_of(object->begin(), object->end(),
                           [](const auto& each) { return all_numbers_are_finite(each.value()); });
    return true;
}

// Boost.JSON writes numbers that JSON does not have, and strings as they are.
inline std::string write_answer(const boost::json::value& answer)
{
    if (!all_numbers_are_finite(answer))
        throw marshal_error("the answer has a number that JSON does not have: it is infinite, or "
                            "no number");
    auto text = boost::json::serialize(answer);
    if (const auto at = not_utf8_at(text))
        throw marshal_error("the answer has a string that is no UTF-8, at byte " +
                            std::to_string(*at) + " of its JSON");
    return text;
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
            std::throw_with_nested(
                marshal_error("a " + demangled(typeid(type).name()) + " could not be made JSON"));
        }
        return write_answer(value);
    }
}

} // namespace loopsafe::lambda::detail

#endif
