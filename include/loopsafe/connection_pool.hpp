// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONNECTION_POOL_HPP
#define LOOPSAFE_CONNECTION_POOL_HPP

/// Connections, leased only to coroutines that run on the right context.
///
///     loopsafe::connection_pool pool(io, loopsafe::tcp_connector(endpoint)); // io is its home
///
///     auto lease = co_await pool.acquire();
///     co_await asio::async_write(*lease, asio::buffer("hello"));
///
/// Policies that serve other contexts instead of refusing: `null_pool`, `per_context_pool`,
/// `carry_over_pool`.
#include <loopsafe/pool/connection_pool.hpp>

#endif
