// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_ON_REQUEST_HPP
#define LOOPSAFE_HTTP_LAYERS_ON_REQUEST_HPP

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
class request_change final : public layer {
public:
    explicit request_change(F fn) : fn_(std::move(fn)) {}

    std::string_view name() const noexcept override { return "on_request"; }

    boost::asio::awaitable<void> lend(exchange& x, next inner) const override
    {
        if constexpr (waits)
            return change_and_lend(x, inner);
        else
            return change_now(x), inner.lend(x);
    }

    boost::asio::awaitable<response> send(exchange& x, next inner) const override
    {
        if constexpr (waits)
            return change_and_send(x, inner);
        else
            return change_now(x), inner.send(x);
    }

private:
    static constexpr bool waits = !std::is_void_v<std::invoke_result_t<const F&, request&>>;

    void change_now(exchange& x) const
    {
        if (!x.foreign)
            std::invoke(fn_, x.asked);
    }
    boost::asio::awaitable<void> change_and_lend(exchange& x, next inner) const
    {
        if (!x.foreign)
            co_await std::invoke(fn_, x.asked);
        co_await inner.lend(x);
    }
    boost::asio::awaitable<response> change_and_send(exchange& x, next inner) const
    {
        if (!x.foreign)
            co_await std::invoke(fn_, x.asked);
        co_return co_await inner.send(x);
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
/// `fn` is `void fn(request&)` or `awaitable<void> fn(request&)`. It is not called for a request
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
