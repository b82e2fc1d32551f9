// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_CLIENT_HPP
#define LOOPSAFE_HTTP_CLIENT_HPP

#include <loopsafe/context/detail/located_executor.hpp>
#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/http/detail/client/open_response.hpp>
#include <loopsafe/http/detail/hop.hpp>
#include <loopsafe/http/incoming.hpp>
#include <loopsafe/http/options.hpp>
#include <loopsafe/http/request.hpp>
#include <loopsafe/http/response.hpp>
#include <loopsafe/pool/carry_over_pool.hpp>
#include <loopsafe/pool/error.hpp>
#include <loopsafe/pool/execution.hpp>
#include <loopsafe/pool/keep_alive_pool.hpp>
#include <loopsafe/pool/null_pool.hpp>
#include <loopsafe/pool/per_context_pool.hpp>
#include <loopsafe/tls/error.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

namespace loopsafe {
class worker_threads;
}

namespace loopsafe::http {

namespace detail {

template <class PoolPolicy, class ExecutionPolicy>
class client_state;
template <class PoolPolicy, class ExecutionPolicy>
class client_hop;

#if defined(LOOPSAFE_SEPARATE_COMPILATION)
// Instantiated by <loopsafe/http/src.hpp>, or here by <loopsafe/http/definitions.hpp>.
template <class PoolPolicy, class ExecutionPolicy>
concept has_code =
    std::same_as<PoolPolicy, keep_alive_pool> || std::same_as<PoolPolicy, null_pool> ||
    std::same_as<PoolPolicy, per_context_pool> || std::same_as<PoolPolicy, carry_over_pool> ||
    requires { sizeof(client_state<PoolPolicy, ExecutionPolicy>); };
#endif

// Their names stand in the compiler's error.
struct pass_an_io_context_first_or_choose_basic_client_with_null_pool_or_per_context_pool {};
struct pass_no_io_context_since_this_client_has_no_home {};
struct pass_a_coroutine_that_takes_an_incoming_response_by_reference_and_returns_an_awaitable {};

template <class F>
using result_of_reader = typename std::invoke_result_t<F&, incoming_response&>::value_type;

template <class F>
boost::asio::awaitable<result_of_reader<F>>
lend(boost::asio::awaitable<std::unique_ptr<open_response>> opening, F fn)
{
    const auto response = co_await std::move(opening);
    if constexpr (std::is_void_v<result_of_reader<F>>) {
        co_await fn(*response);
        response->drain();
    } else {
        auto result = co_await fn(*response);
        response->drain();
        co_return result;
    }
}

} // namespace detail

/// A function that reads a response: `awaitable<T> fn(incoming_response&)`.
template <class F>
concept response_reader = std::invocable<F&, incoming_response&> &&
                          std::same_as<std::invoke_result_t<F&, incoming_response&>,
                                       boost::asio::awaitable<detail::result_of_reader<F>>>;

/// Sends requests to HTTP servers; the `PoolPolicy` determines what happens to its connections.
///
///     http::client client{co_await asio::this_coro::executor};
///     const auto answer = co_await client.get("https://example.org/");
///
/// With `keep_alive_pool` and `on_context` a client has a home, and refuses every other context.
/// With `null_pool` (a new connection for each request), `per_context_pool` (each context keeps its
/// own), `carry_over_pool` (the next context gets what the last one leaves) or `thread_offload`
/// (requests run on worker threads) it needs none, and may sit at namespace scope.
///
/// Common to all of them:
///
/// * HTTP/1.1, over TCP, TLS and UNIX sockets, and through proxies (`client_options::proxies`).
///   Redirects, content codings, retries and more are layers around a client; see `any_sender`.
///   Cookies are not supported.
/// * A connection serves one request at a time. It is reused only if the response ended where it
///   was announced to end. Data after that is noticed if it arrived with the response, or before
///   the connection is probed (`client_options::probe_after`, always after HEAD).
/// * If a kept connection breaks before the first byte of the response, the request is sent once
///   more, on a new connection, if that does no harm; see `replay`.
/// * Everything that a server sends is checked and bounded; see `limits`. Header injection is not
///   possible.
/// * Every stage has a deadline; see `timeouts`.
///
/// A request may be destroyed with its context at any stage. The client may be destroyed at any
/// time: before, after or during its requests, and after its context. A moved-from client may be
/// destroyed or assigned to.
/// Thread safety: distinct objects safe. Shared objects are also safe, except for destruction and
/// moving.
template <class PoolPolicy, class ExecutionPolicy>
class basic_client {
    static_assert(pool_policy<PoolPolicy>,
                  "the policy does not meet the concept loopsafe::pool_policy");
    static_assert(execution_policy<ExecutionPolicy>,
                  "the execution policy is loopsafe::on_context or loopsafe::thread_offload");
    static constexpr bool offloaded = std::same_as<ExecutionPolicy, thread_offload>;
    static_assert(!offloaded || PoolPolicy::has_home || !PoolPolicy::keeps_idle,
                  "with thread_offload a connection belongs to no context, so a shelf for each "
                  "context has no meaning: use keep_alive_pool or null_pool");
#if defined(LOOPSAFE_SEPARATE_COMPILATION)
    static_assert(detail::has_code<PoolPolicy, ExecutionPolicy>,
                  "only the library's own policies are compiled separately: for this one include "
                  "<loopsafe/http/definitions.hpp>");
#endif

public:
    /// `single_use_client_options` with `null_pool`, `carried_client_options` with
    /// `carry_over_pool`, `client_options` with the others.
    using options = client_options_for<PoolPolicy>;

    /// A client whose home is the context of `home`: an `io_context`, a `thread_pool`, or an
    /// executor of one.
    ///
    /// Preconditions: the context has not been destroyed.
    /// Errors: `no_context` (as `context_error`) if `home` names none; those of invalid options.
    explicit basic_client(const loopsafe::detail::located_executor& home, options with = {})
        requires(PoolPolicy::has_home && !offloaded);

    /// A client for any context.
    explicit basic_client(options with = {})
        requires(!PoolPolicy::has_home && !offloaded);

    /// A client for any context. `workers` are the threads for its requests, null for
    /// `worker_threads::shared()`; they may be destroyed before the client.
    explicit basic_client(options with = {}, worker_threads* workers = nullptr)
        requires(offloaded);

    /// A client with a home needs its context; another one takes none.
    template <
        class Cure = detail::
            pass_an_io_context_first_or_choose_basic_client_with_null_pool_or_per_context_pool>
    explicit basic_client(options = {})
        requires(PoolPolicy::has_home && !offloaded)
    = delete;
    template <loopsafe::detail::home_instead_of<basic_client, options> Home,
              class Cure = detail::pass_no_io_context_since_this_client_has_no_home>
    explicit basic_client(Home&&, options = {}, worker_threads* = nullptr)
        requires(!PoolPolicy::has_home || offloaded)
    = delete;

    /// A client that was moved from is a closed one.
    basic_client(basic_client&&) noexcept = default;
    basic_client(const basic_client&) = delete; // pass a reference to it, or std::move it
    basic_client& operator=(basic_client&& other) noexcept
    {
        basic_client(std::move(other)).swap(*this);
        return *this;
    }

    /// Same as `close()`.
    ~basic_client()
    {
        if (state_ != nullptr)
            close();
    }

    void swap(basic_client& other) noexcept { state_.swap(other.state_); }

    /// Sends a request and returns the whole response, whatever its status.
    ///
    /// A server may answer before it has the whole request. A success (2xx) does not end the
    /// request: its body is sent to the end, while the response is collected. Any other status, or
    /// a whole response that closes the connection, does (RFC 9112, 9.5).
    ///
    /// Context: the home if the client has one, otherwise any. Elsewhere `wrong_context`, or
    /// `context_closed` if the home is gone, before a byte is sent.
    /// Per-operation cancellation: terminal; the connection is closed.
    /// Errors: `context_error`; `pool_error` {`acquire_timeout`, `queue_full`, `pool_closed`};
    /// `error` for all others, with the stage that was reached.
    boost::asio::awaitable<response>
    send(request what, std::source_location where = std::source_location::current());

    /// Sends a request, to its end, and lends the response to `fn` while its body is still
    /// arriving; returns the result of `fn`. If `fn` does not read the body to its end, the
    /// connection is closed, unless the rest has already arrived; with `thread_offload` it is
    /// always closed.
    ///
    /// Context, cancellation, errors: as `send()`; what `fn` throws.
    template <class F>
        requires response_reader<std::decay_t<F>>
    boost::asio::awaitable<detail::result_of_reader<std::decay_t<F>>>
    with_response(request what, F&& fn,
                  std::source_location where = std::source_location::current())
    {
        static_assert(loopsafe::detail::safe_as_temporary<F>,
                      "GCC 12 would destroy the captures of this function twice: give the lambda a "
                      "name first and pass that, or capture by reference");
        return detail::lend<std::decay_t<F>>(open(std::move(what), {}, where), std::forward<F>(fn));
    }

    /// `fn` returns an `awaitable`.
    template <
        class F,
        class Cure = detail::
            pass_a_coroutine_that_takes_an_incoming_response_by_reference_and_returns_an_awaitable>
        requires(!response_reader<std::decay_t<F>>)
    boost::asio::awaitable<void> with_response(request, F&&, std::source_location = {}) = delete;

    /// `send()`, by method. `body` is sent as it is; to set a Content-Type, use `send()` with a
    /// `request`.
    boost::asio::awaitable<response>
    get(std::string url, std::source_location where = std::source_location::current())
    {
        return send("GET", std::move(url), {}, where);
    }
    boost::asio::awaitable<response>
    head(std::string url, std::source_location where = std::source_location::current())
    {
        return send("HEAD", std::move(url), {}, where);
    }
    boost::asio::awaitable<response>
    post(std::string url, request_body body,
         std::source_location where = std::source_location::current())
    {
        return send("POST", std::move(url), std::move(body), where);
    }
    boost::asio::awaitable<response>
    put(std::string url, request_body body,
        std::source_location where = std::source_location::current())
    {
        return send("PUT", std::move(url), std::move(body), where);
    }
    boost::asio::awaitable<response>
    patch(std::string url, request_body body,
          std::source_location where = std::source_location::current())
    {
        return send("PATCH", std::move(url), std::move(body), where);
    }
    boost::asio::awaitable<response>
    del(std::string url, std::source_location where = std::source_location::current())
    {
        return send("DELETE", std::move(url), {}, where);
    }

    /// Closes every idle or parked connection now, and every other one when its request has ended.
    void invalidate() noexcept;

    /// Call it when the process may have been frozen: idle connections are then probed before
    /// reuse.
    void thaw() noexcept;

    /// Closes every parked connection. Call it before a snapshot of the process is taken.
    /// Connections of a living context stay open; `invalidate()` closes them, too.
    ///
    /// Needs no running context and does not wait. Thread safety: any thread.
    void drop_parked() noexcept
        requires carries_over<PoolPolicy>;

    /// Refuses every request from now on, including those that wait for a connection
    /// (`pool_closed`), and closes idle connections. Requests in progress are not affected.
    ///
    /// Needs no running context and does not wait. Thread safety: any thread.
    void close() noexcept;

    /// `close()`, then waits until the last request has released its connection.
    ///
    /// Errors: `close_timeout` (as `pool_error`) if requests are still in progress after `limit`;
    /// the context errors of `send()`.
    boost::asio::awaitable<void>
    async_close(std::chrono::milliseconds limit,
                std::source_location where = std::source_location::current());

    /// The connections to all servers, added up.
    pool_stats stats() const;

    /// The home, or an empty reference for clients without one.
    context_ref home() const noexcept;

private:
    template <class, class>
    friend class detail::client_hop;

    using state = detail::client_state<PoolPolicy, ExecutionPolicy>;

    boost::asio::awaitable<response> send(const char* method, std::string&& url,
                                          request_body&& body, std::source_location where);
    // For the layers around it.
    explicit basic_client(std::shared_ptr<state> shared) noexcept : state_(std::move(shared)) {}
    void enter(request& asked, detail::hop& of, const boost::asio::any_io_executor& executor,
               const std::source_location& where) const;
    const single_use_client_options& given() const noexcept;
    boost::asio::awaitable<response> send(request what, const detail::hop& of,
                                          std::source_location where);
    boost::asio::awaitable<std::unique_ptr<detail::open_response>>
    open(request what, const detail::hop& of, std::source_location where);

    std::shared_ptr<state> state_;
};

#if defined(LOOPSAFE_SEPARATE_COMPILATION)
extern template class basic_client<keep_alive_pool>;
extern template class basic_client<null_pool>;
extern template class basic_client<per_context_pool>;
extern template class basic_client<carry_over_pool>;
extern template class basic_client<keep_alive_pool, thread_offload>;
extern template class basic_client<null_pool, thread_offload>;
#endif

} // namespace loopsafe::http

#if !defined(LOOPSAFE_SEPARATE_COMPILATION)
#include <loopsafe/http/detail/client/definitions.hpp>
#endif

#endif
