// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_OFFLOADABLE_HPP
#define LOOPSAFE_OFFLOAD_OFFLOADABLE_HPP

#include <loopsafe/config.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <span>
#include <stop_token>
#include <string_view>
#include <type_traits>

namespace loopsafe {

/// Lets an argument that only refers to something, such as a `string_view`, pass to a worker.
///
/// The caller guarantees that the target outlives the function, even if the caller is gone by then.
template <class T>
struct borrowed {
    T value;
};
template <class T>
borrowed(T) -> borrowed<T>;

/// Whether a value of type T only refers to something that may be gone before a function on another
/// thread ends. Specialise it for your own views.
template <class T>
inline constexpr bool only_refers = std::is_reference_v<T>;
template <class Char, class Traits>
inline constexpr bool only_refers<std::basic_string_view<Char, Traits>> = true;
template <class T, std::size_t Extent>
inline constexpr bool only_refers<std::span<T, Extent>> = true;

namespace detail {

template <class T>
struct passed {
    using type = T&&;
};
template <class T>
struct passed<borrowed<T>> {
    using type = T&&;
};
template <class T>
using passed_t = typename passed<T>::type;

template <class F, class... Args>
concept takes_stop_token =
    std::invocable<std::decay_t<F>, std::stop_token, passed_t<std::decay_t<Args>>...>;

} // namespace detail

/// A function that may run on a worker, with copies of these arguments, or with a `std::stop_token`
/// before them.
template <class F, class... Args>
concept offloadable = std::invocable<std::decay_t<F>, detail::passed_t<std::decay_t<Args>>...> ||
                      detail::takes_stop_token<F, Args...>;

namespace detail {

template <class F, class... Args>
struct result_if_offloadable {};
template <class F, class... Args>
    requires offloadable<F, Args...>
struct result_if_offloadable<F, Args...> {
    using type = std::invoke_result_t<std::decay_t<F>, passed_t<std::decay_t<Args>>...>;
};
template <class F, class... Args>
    requires offloadable<F, Args...> && takes_stop_token<F, Args...>
struct result_if_offloadable<F, Args...> {
    using type =
        std::invoke_result_t<std::decay_t<F>, std::stop_token, passed_t<std::decay_t<Args>>...>;
};
template <class F, class... Args>
using offload_result_t = typename result_if_offloadable<F, Args...>::type;

template <class R>
struct offload_signature {
    using type = void(std::exception_ptr, R);
};
template <>
struct offload_signature<void> {
    using type = void(std::exception_ptr);
};
template <class F>
using offload_signature_t = typename offload_signature<offload_result_t<F>>::type;

} // namespace detail

} // namespace loopsafe

#endif
