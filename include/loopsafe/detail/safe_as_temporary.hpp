// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_SAFE_AS_TEMPORARY_HPP
#define LOOPSAFE_DETAIL_SAFE_AS_TEMPORARY_HPP

#include <type_traits>

namespace loopsafe::detail {

// GCC 12 destroys a closure or an aggregate twice if it is made in the same expression as a
// co_await. T is what a forwarding reference deduces.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
template <class T>
inline constexpr bool safe_as_temporary =
    std::is_lvalue_reference_v<T> || std::is_trivially_destructible_v<T>;
#else
template <class T>
inline constexpr bool safe_as_temporary = true;
#endif

} // namespace loopsafe::detail

#endif
