// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_JSON_MEMBERS_HPP
#define LOOPSAFE_LAMBDA_DETAIL_JSON_MEMBERS_HPP

#include <loopsafe/lambda/function_error.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <map>
#include <string>
#include <string_view>

// The members of AWS's events, of which any may be missing or null; `what` names the object in
// errors.
namespace loopsafe::lambda::detail {

[[noreturn]] inline void throw_wrong_member(std::string_view what, std::string_view name,
                                            std::string_view is_no)
{
    throw unmarshal_error(std::string(what) + '.' + std::string(name) + " is no " +
                          std::string(is_no));
}

// Null where it is missing or null.
inline const boost::json::value* member(const boost::json::object& of, std::string_view name)
{
    const auto* found = of.if_contains({name.data(), name.size()});
    return found == nullptr || found->is_null() ? nullptr : found;
}

inline std::string string_member(const boost::json::object& of, std::string_view name,
                                 std::string_view what)
{
    const auto* found = member(of, name);
    if (found == nullptr)
        return {};
    if (const auto* text = found->if_string())
        return {text->data(), text->size()};
    throw_wrong_member(what, name, "string");
}

inline bool bool_member(const boost::json::object& of, std::string_view name, std::string_view what)
{
    const auto* found = member(of, name);
    if (found == nullptr)
        return false;
    if (const auto* value = found->if_bool())
        return *value;
    throw_wrong_member(what, name, "boolean");
}

inline const boost::json::object* object_member(const boost::json::object& of,
                                                std::string_view name, std::string_view what)
{
    const auto* found = member(of, name);
    if (found == nullptr)
        return nullptr;
    if (const auto* object = found->if_object())
        return object;
    throw_wrong_member(what, name, "object");
}

inline const boost::json::array* array_member(const boost::json::object& of, std::string_view name,
                                              std::string_view what)
{
    const auto* found = member(of, name);
    if (found == nullptr)
        return nullptr;
    if (const auto* array = found->if_array())
        return array;
    throw_wrong_member(what, name, "array");
}

using text_map = std::map<std::string, std::string, std::less<>>;

// A member that is an object of strings.
inline text_map map_member(const boost::json::object& of, std::string_view name,
                           std::string_view what)
{
    text_map all;
    const auto* object = object_member(of, name, what);
    if (object == nullptr)
        return all;
    for (const auto& each : *object) {
        if (each.value().is_null())
            continue;
        const auto* text = each.value().if_string();
        if (text == nullptr)
            throw_wrong_member(what, name, "object of strings");
        all.emplace(each.key(), std::string_view(text->data(), text->size()));
    }
    return all;
}

} // namespace loopsafe::lambda::detail

#endif
