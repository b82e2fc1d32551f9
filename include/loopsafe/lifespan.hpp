// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LIFESPAN_HPP
#define LOOPSAFE_LIFESPAN_HPP

/// What a program starts, in order, and stops in reverse: `lifespan`.
///
///     app.add("db", open_pool, close_pool).add("cache", warm_up);
///     co_await app.start();
#include <loopsafe/run/lifespan.hpp>

#endif
