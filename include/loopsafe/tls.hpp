// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_HPP
#define LOOPSAFE_TLS_HPP

/// TLS over TCP, client side, with OpenSSL.
///
///     loopsafe::connection_pool<loopsafe::tls_connector, loopsafe::per_context_pool> pool{
///         loopsafe::tls_connector{"example.com", "https"}};
///
///     auto lease = co_await pool.acquire();
///     co_await boost::asio::async_write(*lease, request, boost::asio::use_awaitable);
///
/// The server's certificate and name are verified unless `tls_options` disable it.
/// Programs that include this header link to OpenSSL.
#include <loopsafe/tls/connector.hpp>
#include <loopsafe/tls/error.hpp>
#include <loopsafe/tls/options.hpp>
#include <loopsafe/tls/stream.hpp>

#endif
