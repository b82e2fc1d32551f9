// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_ON_REQUEST_HPP
#define LOOPSAFE_HTTP_LAYERS_ON_REQUEST_HPP

#include <loopsafe/http/detail/layers/request_layer.hpp>
#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

namespace loopsafe::http {

namespace detail {

// Its name stands in the compiler's error.
struct pass_a_function_that_takes_a_request_by_reference_and_returns_void_or_an_awaitable_of_it {};

template <class F>
concept request_hook =
    std::copy_constructible<F> && std::invocable<const F&, request&> &&
    (std::is_void_v<std::invoke_result_t<const F&, request&>> ||
     std::same_as<std::invoke_result_t<const F&, request&>, boost::asio::awaitable<void>>);

template <request_hook F>
class request_change final : public request_layer {
public:
    explicit request_change(F fn) : fn_(std::move(fn)) {}

    std::string_view name() const noexcept override { return "on_request"; }

private:
    boost::asio::awaitable<void> prepare(exchange& x, const next&) const override
    {
        if (x.foreign)
            return {};
        if constexpr (std::is_void_v<std::invoke_result_t<const F&, request&>>)
            return std::invoke(fn_, x.asked), boost::asio::awaitable<void>();
        else
            return std::invoke(fn_, x.asked);
    }

    F fn_;
};

} // namespace detail

/// Calls `fn` with every request before it is sent: each attempt and each hop. It may change the
/// request, or throw.
///
///     const auto api = http::any_sender(client) |
///                      http::on_request([](http::request& r) { r.headers.set("X-Key", key); });
///
/// `fn` is `void fn(request&)` or `awaitable<void> fn(request&)`; `timeouts::total` covers what it
/// waits for. It is not called for a request
/// that a redirect leads to another origin, so that no secret can get there.
/// Thread safety: `fn` is called by all threads that send.
template <class F>
    requires detail::request_hook<std::decay_t<F>>
std::shared_ptr<const layer> on_request(F&& fn)
{
    return std::make_shared<const detail::request_change<std::decay_t<F>>>(std::forward<F>(fn));
}

template <
    class F,
    class Cure = detail::
        pass_a_function_that_takes_a_request_by_reference_and_returns_void_or_an_awaitable_of_it>
    requires(!detail::request_hook<std::decay_t<F>>)
std::shared_ptr<const layer> on_request(F&&) = delete;

} // namespace loopsafe::http

#endif
