// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_HTTP_SERVER_HPP
#define LOOPSAFE_LAMBDA_HTTP_SERVER_HPP

#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/lambda/http_message.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace loopsafe::lambda {

/// A function of a request that returns `awaitable<http_response>`.
template <class F>
concept http_function = std::same_as<std::invoke_result_t<std::decay_t<F>&, http_request>,
                                     boost::asio::awaitable<http_response>>;

/// Trivially copyable, because GCC 12 destroys other aggregates twice when they are made in the
/// same expression as a `co_await`.
struct http_server_options {
    std::size_t max_connections = 1000;         ///< others wait to be accepted
    std::uint32_t header_bytes = 16 * 1024;     ///< else 431
    std::uint64_t body_bytes = 6 * 1024 * 1024; ///< else 413; as much as Lambda takes

    /// For a connection to send a request, head and body, and to take an answer. One that sends on
    /// after the last answer is heard for so long, but for 5 s at most, so that it gets the answer.
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(60);

    /// Is told what a function has thrown, which the caller gets as a 500; what the hook throws is
    /// ignored. Null: a line on stderr, with the report that Lambda would get.
    const std::function<void(const std::exception_ptr&)>* on_error = nullptr;
};
static_assert(std::is_trivially_copyable_v<http_server_options>);

/// Serves HTTP/1.1 with a function of the events of API Gateway: the same requests get the same
/// answers (`http_event.hpp`), without TLS and without Lambda's deadline.
///
///     asio::ip::tcp::acceptor acceptor(co_await asio::this_coro::executor, {{}, 8080});
///     co_await lambda::serve_http(acceptor, shop);
///
/// Each connection is a task, which calls `function(request)` for one request after the other.
/// What it throws is a 500, as from a gateway, and the end of its connection.
///
/// Preconditions: the acceptor listens, and lives until the end; the caller's executor runs one
/// handler at a time.
/// Errors: that of the acceptor, when it accepts no more; `operation_aborted` after a cancellation;
/// `bad_option` (as `system_error`); `bad_alloc`.
/// Cancellation: terminal; it is how to stop. No more is accepted; what runs is cancelled and
/// awaited.
template <http_function F>
boost::asio::awaitable<void> serve_http(boost::asio::ip::tcp::acceptor& acceptor, F&& function,
                                        http_server_options options = {});

} // namespace loopsafe::lambda

#include <loopsafe/lambda/impl/http_server.hpp>

#endif
