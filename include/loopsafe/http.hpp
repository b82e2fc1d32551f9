// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_HPP
#define LOOPSAFE_HTTP_HPP

/// HTTP/1.1 over TCP, TLS and UNIX sockets: a client that keeps its connections.
///
///     loopsafe::http::client client{co_await asio::this_coro::executor};
///     const auto answer = co_await client.get("https://example.org/");
///
/// Programs that include this header link to OpenSSL.
#include <loopsafe/http/client.hpp>

#endif
