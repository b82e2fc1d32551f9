// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_LAYER_HPP
#define LOOPSAFE_HTTP_LAYERS_LAYER_HPP

#include <loopsafe/http/detail/layers/collector.hpp>
#include <loopsafe/http/detail/layers/last_hop.hpp>
#include <loopsafe/http/layers/exchange.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

namespace loopsafe::http {

namespace detail {
class chain;
}

/// Where a layer belongs, from the wire outwards. A chain whose layers are in another order is
/// refused when it is made: each attempt of `retries` must be signed anew, and `check_status` must
/// not turn a redirect into an error.
enum class place {
    signing = 1,
    tracing,
    own, ///< seen by every attempt and every hop
    retries,
    redirects,
    decoding,
    check,
    anywhere ///< not checked
};

class layer;

/// What is below a layer: the next one inwards, and at last the client. A value, valid until the
/// request has ended.
class next {
public:
    /// Sends `x.asked`, and lends the response to `x.to`.
    ///
    /// Preconditions: `x.to` is not null.
    /// Errors: as `basic_client::with_response()`.
    boost::asio::awaitable<void> lend(exchange& x) const;

    /// Sends `x.asked`, and returns the whole response. Errors: as `basic_client::send()`.
    boost::asio::awaitable<response> send(exchange& x) const;

    /// Waits, on the clock of the client's policy. Per-operation cancellation: terminal.
    /// Errors: `system_error` {`operation_aborted`}.
    boost::asio::awaitable<void> pause(std::chrono::nanoseconds how_long) const;

    /// Runs a step of a layer's own, such as a question to another server, and ends it when
    /// `x.due` has passed.
    ///
    /// Per-operation cancellation: that of the step. Errors: `error` {`timed_out`}; the step's.
    boost::asio::awaitable<void> in_time(const exchange& x,
                                         boost::asio::awaitable<void> step) const;

    /// The time on that clock.
    std::chrono::nanoseconds now() const;

    /// Those of the client.
    const single_use_client_options& options() const noexcept;
    const http::limits& limits() const noexcept;

private:
    friend class detail::chain;
    next(detail::last_hop& outermost, const std::shared_ptr<const layer>* layers,
         std::size_t below) noexcept
        : client_(&outermost), layers_(layers), below_(below)
    {
    }
    next inner() const noexcept { return {*client_, layers_, below_ - 1}; }

    detail::last_hop* client_;
    const std::shared_ptr<const layer>* layers_; // the innermost first
    std::size_t below_;                          // how many of them are
};

/// Something that is done around the requests of a client. Derive from it to write one, or use
/// `on_request`.
///
///     class stopwatch : public http::layer {
///         std::string_view name() const noexcept override { return "stopwatch"; }
///         asio::awaitable<void> lend(http::exchange& x, http::next inner) const override
///         {
///             const auto begun = inner.now();
///             co_await inner.lend(x);
///             note(x.asked.method, inner.now() - begun);
///         }
///     };
///
/// A layer is shared by all requests, on all their threads; what belongs to one request belongs
/// into the frame of its coroutine. Between requests it must keep nothing that belongs to a
/// context: the client's policy decides which contexts the next request comes from.
class layer {
public:
    layer() = default;
    layer(const layer&) = delete;
    layer& operator=(const layer&) = delete;
    virtual ~layer() = default;

    /// For errors.
    virtual std::string_view name() const noexcept = 0;

    virtual http::place place() const noexcept { return http::place::own; }

    /// Sends a request whose response is read in parts: calls `inner.lend(x)` once, or as often as
    /// it takes; or not at all, and then throws, or lends a response of its own to `x.to`. Once
    /// `x.to` was called, it must not be called again, whatever it throws. A layer that sets
    /// `x.to` sets it before each request, and sets it back at the end, also of a failure.
    ///
    /// Errors: its own. One that breaks these rules makes the request fail with `error`
    /// {`bad_layer`}, where it lends nothing, or lends to a reader twice.
    virtual boost::asio::awaitable<void> lend(exchange& x, next inner) const = 0;

    /// Sends a request whose response is returned as a whole. By default it is that which `lend()`
    /// lends, collected up to `limits::body_bytes`; a server that answers with what it is being
    /// sent is then heard only when all is sent. A layer that needs no `incoming_response` saves
    /// its requests instructions by overriding this, too.
    virtual boost::asio::awaitable<response> send(exchange& x, next inner) const;
};

inline boost::asio::awaitable<void> next::lend(exchange& x) const
{
    return below_ == 0 ? client_->lend(x) : layers_[below_ - 1]->lend(x, inner());
}

inline boost::asio::awaitable<response> next::send(exchange& x) const
{
    return below_ == 0 ? client_->send(x) : layers_[below_ - 1]->send(x, inner());
}

inline boost::asio::awaitable<void> next::pause(std::chrono::nanoseconds how_long) const
{
    return client_->pause(how_long);
}

inline boost::asio::awaitable<void> next::in_time(const exchange& x,
                                                  boost::asio::awaitable<void> step) const
{
    return client_->in_time(x, std::move(step));
}

inline std::chrono::nanoseconds next::now() const
{
    return client_->now();
}

inline const single_use_client_options& next::options() const noexcept
{
    return client_->options();
}

inline const http::limits& next::limits() const noexcept
{
    return options().limits;
}

inline boost::asio::awaitable<response> layer::send(exchange& x, next inner) const
{
    const auto all = std::make_unique<detail::collector>(x, inner.limits().body_bytes);
    all->step_in();
    co_await lend(x, inner);
    co_return all->got();
}

} // namespace loopsafe::http

#endif
