// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONNECTION_POOL_HPP
#define LOOPSAFE_CONNECTION_POOL_HPP

/// Connections lent to coroutines of the right context, and to nobody else.
///
///     loopsafe::connection_pool pool(io, loopsafe::tcp_connector(endpoint)); // io is its home
///
///     auto lease = co_await pool.acquire();
///     co_await asio::async_write(*lease, asio::buffer("hello"));
///
/// What a policy does instead of refusing: `null_pool`, `per_context_pool`, `carry_over_pool`.
#include <loopsafe/pool/connection_pool.hpp>

#endif
