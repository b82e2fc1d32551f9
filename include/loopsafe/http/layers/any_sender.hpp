// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_ANY_SENDER_HPP
#define LOOPSAFE_HTTP_LAYERS_ANY_SENDER_HPP

#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/http/client.hpp>
#include <loopsafe/http/detail/layers/client_hop.hpp>
#include <loopsafe/http/detail/layers/lent_to.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

namespace loopsafe::http {

/// What sends requests: a `basic_client`, an `any_sender`, or what a test puts in their place.
template <class S>
concept sender =
    requires(S& s, request what, boost::asio::awaitable<int> (*fn)(incoming_response&)) {
        { s.send(std::move(what)) } -> std::same_as<boost::asio::awaitable<response>>;
        { s.with_response(std::move(what), fn) } -> std::same_as<boost::asio::awaitable<int>>;
    };

/// A client of any policies with the layers around it.
///
///     auto api = http::client(executor, options) | http::retries(3) | http::redirects();
///     const auto answer = co_await api.get("https://example.org/");
///
/// A client that is moved into it lives as long as the last copy and the last request, and is
/// closed then. A client that stays outside, `client | layer`, is shared: it may be destroyed
/// first, and every request that would need it after that is refused with `pool_closed`.
///
/// The deadline of a request, `timeouts::total`, and its cancellation span all attempts, hops,
/// pauses and what layers wait for by `next::in_time()`. A wrong context is refused before any
/// layer is asked. Make it outside of a `co_await` expression. Thread safety: as `basic_client`.
/// Copies share the client and the layers. One that was moved from may be destroyed or assigned to.
class any_sender {
public:
    template <class PoolPolicy, class ExecutionPolicy>
    explicit any_sender(basic_client<PoolPolicy, ExecutionPolicy>&& inner)
        : chain_(around(
              std::make_shared<detail::client_hop<PoolPolicy, ExecutionPolicy>>(std::move(inner))))
    {
    }
    template <class PoolPolicy, class ExecutionPolicy>
    explicit any_sender(basic_client<PoolPolicy, ExecutionPolicy>& inner)
        : chain_(around(std::make_shared<detail::client_hop<PoolPolicy, ExecutionPolicy>>(inner)))
    {
    }

    /// `inner` with one more layer around it; `inner` stays as it is.
    ///
    /// Errors: `bad_option` (as `system_error`) if `added` is null, or another layer belongs
    /// outside of this one; then it names both.
    any_sender(const any_sender& inner, std::shared_ptr<const layer> added)
        : chain_(std::make_shared<const detail::chain>(*inner.chain_, std::move(added)))
    {
    }

    /// As those of `basic_client`, through every layer. Errors: those of the layers, too.
    boost::asio::awaitable<response>
    send(request what, std::source_location where = std::source_location::current()) const
    {
        return detail::send_through(chain_, detail::enter(std::move(what), where));
    }

    template <class F>
        requires response_reader<std::decay_t<F>>
    boost::asio::awaitable<detail::result_of_reader<std::decay_t<F>>>
    with_response(request what, F&& fn,
                  std::source_location where = std::source_location::current()) const
    {
        static_assert(loopsafe::detail::safe_as_temporary<F>,
                      "GCC 12 would destroy the captures of this function twice: give the lambda a "
                      "name first and pass that, or capture by reference");
        return detail::lend_through<std::decay_t<F>>(chain_, detail::enter(std::move(what), where),
                                                     std::forward<F>(fn));
    }

    /// `fn` returns an `awaitable`.
    template <
        class F,
        class Cure = detail::
            pass_a_coroutine_that_takes_an_incoming_response_by_reference_and_returns_an_awaitable>
        requires(!response_reader<std::decay_t<F>>)
    boost::asio::awaitable<void> with_response(request, F&&,
                                               std::source_location = {}) const = delete;

    boost::asio::awaitable<response>
    get(std::string url, std::source_location where = std::source_location::current()) const
    {
        return send(request("GET", std::move(url)), where);
    }
    boost::asio::awaitable<response>
    head(std::string url, std::source_location where = std::source_location::current()) const
    {
        return send(request("HEAD", std::move(url)), where);
    }
    boost::asio::awaitable<response>
    post(std::string url, request_body body,
         std::source_location where = std::source_location::current()) const
    {
        return send(request("POST", std::move(url), std::move(body)), where);
    }
    boost::asio::awaitable<response>
    put(std::string url, request_body body,
        std::source_location where = std::source_location::current()) const
    {
        return send(request("PUT", std::move(url), std::move(body)), where);
    }
    boost::asio::awaitable<response>
    patch(std::string url, request_body body,
          std::source_location where = std::source_location::current()) const
    {
        return send(request("PATCH", std::move(url), std::move(body)), where);
    }
    boost::asio::awaitable<response>
    del(std::string url, std::source_location where = std::source_location::current()) const
    {
        return send(request("DELETE", std::move(url)), where);
    }

    /// Those of the client: for all who share it.
    void invalidate() const noexcept { chain_->client().invalidate(); }
    void thaw() const noexcept { chain_->client().thaw(); }
    void close() const noexcept { chain_->client().close(); }
    boost::asio::awaitable<void>
    async_close(std::chrono::milliseconds limit,
                std::source_location where = std::source_location::current()) const
    {
        return detail::close_through(chain_, limit, where);
    }
    pool_stats stats() const { return chain_->client().stats(); }
    context_ref home() const noexcept { return chain_->client().home(); }

private:
    static std::shared_ptr<const detail::chain> around(std::shared_ptr<detail::last_hop> inner)
    {
        return std::make_shared<const detail::chain>(std::move(inner));
    }

    std::shared_ptr<const detail::chain> chain_;
};

/// Puts a layer around a client, or around the layers that it already has. A client is moved from,
/// or shared.
template <class PoolPolicy, class ExecutionPolicy, std::derived_from<layer> Layer>
any_sender operator|(basic_client<PoolPolicy, ExecutionPolicy>&& inner,
                     std::shared_ptr<Layer> added)
{
    return any_sender(any_sender(std::move(inner)), std::move(added));
}
template <class PoolPolicy, class ExecutionPolicy, std::derived_from<layer> Layer>
any_sender operator|(basic_client<PoolPolicy, ExecutionPolicy>& inner, std::shared_ptr<Layer> added)
{
    return any_sender(any_sender(inner), std::move(added));
}
template <std::derived_from<layer> Layer>
any_sender operator|(const any_sender& inner, std::shared_ptr<Layer> added)
{
    return any_sender(inner, std::move(added));
}

} // namespace loopsafe::http

#endif
