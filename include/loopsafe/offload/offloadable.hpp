// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_OFFLOADABLE_HPP
#define LOOPSAFE_OFFLOAD_OFFLOADABLE_HPP

#include <loopsafe/fwd.hpp>

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

// Their names stand in the compiler's error.
struct pass_offload_options_before_the_function {};
struct pass_offload_options_after_the_token {};
struct pass_std_ref_where_the_function_takes_a_reference_or_let_it_take_a_value {};

template <class T>
inline constexpr bool is_offload_options = std::is_same_v<std::decay_t<T>, offload_options>;

template <class F, class... Args>
concept invocable_with_references =
    std::invocable<std::decay_t<F>&, std::decay_t<Args>&...> ||
    std::invocable<std::decay_t<F>&, std::stop_token, std::decay_t<Args>&...>;

// What looks like an offload. No more, since offload() is also found for other functions of that
// name, by their arguments.
template <class F, class... Args>
concept mistaken_for_offloadable =
    !offloadable<F, Args...> && !is_offload_options<F> &&
    ((is_offload_options<Args> || ...) || invocable_with_references<F, Args...>);

template <class... Args>
using cure_of_offload =
    std::conditional_t<(is_offload_options<Args> || ...), pass_offload_options_before_the_function,
                       pass_std_ref_where_the_function_takes_a_reference_or_let_it_take_a_value>;

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
