// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_LOCAL_FACE_HPP
#define LOOPSAFE_CONTEXT_LOCAL_FACE_HPP

/// One `T` for each context, made when a context first asks.
///
///     loopsafe::context_local<cache> caches; // at namespace scope
///
///     caches.get(co_await asio::this_coro::executor).put(key, value);
#include <loopsafe/context/local.hpp>

#endif
