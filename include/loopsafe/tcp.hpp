// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_HPP
#define LOOPSAFE_TCP_HPP

/// TCP: a stream that refuses to work on any context but its own, and its connector.
///
///     loopsafe::connection_pool<loopsafe::tcp_connector, loopsafe::null_pool> pool{
///         loopsafe::tcp_connector{"example.com", "7"}};
///
///     auto lease = co_await pool.acquire();
///     co_await asio::async_write(*lease, asio::buffer("hello"));
#include <loopsafe/tcp/connector.hpp>
#include <loopsafe/tcp/error.hpp>
#include <loopsafe/tcp/probe.hpp>
#include <loopsafe/tcp/stream.hpp>

#endif
