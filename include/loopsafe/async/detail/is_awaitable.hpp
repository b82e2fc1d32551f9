// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_IS_AWAITABLE_HPP
#define LOOPSAFE_ASYNC_DETAIL_IS_AWAITABLE_HPP

#include <boost/asio/awaitable.hpp>

namespace loopsafe::detail {

template <class T>
inline constexpr bool is_awaitable = false;
template <class T, class Executor>
inline constexpr bool is_awaitable<boost::asio::awaitable<T, Executor>> = true;

} // namespace loopsafe::detail

#endif
