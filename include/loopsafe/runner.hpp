// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUNNER_HPP
#define LOOPSAFE_RUNNER_HPP

/// `run(main)`: a fresh context for one call; `runner`: one context for many; `spawn()`: a task
/// that ends before its context does.
///
///     int status = loopsafe::run([]() -> asio::awaitable<int> {
///         loopsafe::spawn(co_await asio::this_coro::executor, heartbeat());
///         co_return co_await serve();
///     });
#include <loopsafe/run/runner.hpp>

#endif
