// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_JSON_HPP
#define LOOPSAFE_DETAIL_JSON_HPP

#include <loopsafe/detail/utf8.hpp>

#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

// Between bytes of JSON, Boost.JSON, and the types of the user.
namespace loopsafe::detail {

struct json_read {
    boost::json::value value;
    boost::system::error_code wrong;
    std::size_t at = 0; // then, the byte
};

// RFC 8259, with at most 32 arrays and objects in each other.
inline json_read read_json(std::string_view text)
{
    boost::json::parse_options options;
    options.max_depth = 32;
    boost::json::parser parser({}, options);
    json_read read;
    read.at = parser.write(text.data(), text.size(), read.wrong);
    if (!read.wrong)
        read.value = parser.release();
    return read;
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

struct json_written {
    std::string text;
    std::string wrong; // what the value has that JSON cannot have, without the value
};

// Boost.JSON writes numbers that JSON does not have, and strings as they are.
inline json_written write_json(const boost::json::value& value)
{
    if (!all_numbers_are_finite(value))
        return {{}, "a number that JSON does not have: it is infinite, or no number"};
    auto text = boost::json::serialize(value);
    if (const auto at = not_utf8_at(text))
        return {{}, "a string that is no UTF-8, at byte " + std::to_string(*at) + " of its JSON"};
    return {std::move(text), {}};
}

// A view would be one of what is gone.
template <class T>
inline constexpr bool is_view_of_json =
    std::is_same_v<T, std::string_view> || std::is_same_v<T, boost::json::string_view>;

template <class T>
inline constexpr bool is_read_from_json = [] {
    if constexpr (std::is_pointer_v<T>)
        return false;
    else
        return std::is_same_v<T, boost::json::value> || boost::json::has_value_to<T>::value;
}();

template <class T>
inline constexpr bool is_written_as_json =
    std::is_same_v<T, boost::json::value> || boost::json::has_value_from<T>::value;

} // namespace loopsafe::detail

#endif
