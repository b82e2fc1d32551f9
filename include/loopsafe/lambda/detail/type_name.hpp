// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_TYPE_NAME_HPP
#define LOOPSAFE_LAMBDA_DETAIL_TYPE_NAME_HPP

#include <loopsafe/detail/demangled.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <typeinfo>
#if __has_include(<cxxabi.h>)
#include <cxxabi.h>
#endif

namespace loopsafe::lambda::detail {

// The dynamic type of the exception that is being handled, also of what is no std::exception.
inline std::string type_of_caught()
{
#if __has_include(<cxxabi.h>)
    if (const auto* type = abi::__cxa_current_exception_type())
        return loopsafe::detail::demangled(type->name());
#endif
    return "Runtime.Unknown";
}

// A::B<C::D>::E is E, and A::B<C::D> is B.
inline std::string_view last_name(std::string_view type) noexcept
{
    std::size_t depth = 0;
    std::size_t end = type.size();
    bool ended = false;
    for (std::size_t i = type.size(); i-- != 0;) {
        const char c = type[i];
        if (c == '>' || c == ')') {
            ++depth;
        } else if (c == '<' || c == '(') {
            if (depth != 0 && --depth == 0 && !ended)
                end = i;
        } else if (depth == 0) {
            if (c == ':')
                return type.substr(i + 1, end - i - 1);
            ended = true;
        }
    }
    return type.substr(0, end);
}

inline bool is_letter(char c) noexcept
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// order_refused is OrderRefused; nothing where it has other characters than those of plain names.
// Digits are left out, since Lambda takes none.
inline std::string camel_case(std::string_view name)
{
    std::string words;
    bool begins = true;
    for (const char c : name) {
        if (is_letter(c)) {
            words += begins && c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
            begins = false;
        } else if (c == '_' || (c >= '0' && c <= '9')) {
            begins = true;
        } else {
            return {};
        }
    }
    return words;
}

// What Lambda takes: (Runtime|Function)\.[A-Z][a-zA-Z]+, and of a sensible length.
inline bool is_error_type(std::string_view type) noexcept
{
    static constexpr std::size_t most_bytes = 128;
    const auto dot = type.find('.');
    if (dot == std::string_view::npos || type.size() > most_bytes)
        return false;
    const auto family = type.substr(0, dot);
    const auto name = type.substr(dot + 1);
    if ((family != "Runtime" && family != "Function") || name.size() < 2)
        return false;
    if (name[0] < 'A' || name[0] > 'Z')
        return false;
    for (const char c : name)
        if (!is_letter(c))
            return false;
    return true;
}

} // namespace loopsafe::lambda::detail

#endif
