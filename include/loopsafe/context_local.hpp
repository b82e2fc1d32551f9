// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_LOCAL_FACE_HPP
#define LOOPSAFE_CONTEXT_LOCAL_FACE_HPP

/// One `T` for each context, made when the context first uses it.
///
///     using caches = loopsafe::context_local<cache>;
///
///     caches::in(co_await asio::this_coro::executor).put(key, value);
#include <loopsafe/context/local.hpp>

#endif
