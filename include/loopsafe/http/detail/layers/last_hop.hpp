// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_LAST_HOP_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_LAST_HOP_HPP

#include <loopsafe/context/ref.hpp>
#include <loopsafe/http/layers/exchange.hpp>
#include <loopsafe/http/options.hpp>
#include <loopsafe/pool/stats.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <source_location>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

// What is below all layers: a client.
class last_hop {
public:
    last_hop() = default;
    last_hop(const last_hop&) = delete;
    last_hop& operator=(const last_hop&) = delete;
    virtual ~last_hop() = default;

    // Before any layer: refuses a wrong context, makes the URL absolute, sets the deadline.
    virtual void enter(exchange& x, const asio::any_io_executor& executor) const = 0;

    virtual asio::awaitable<void> lend(exchange& x) = 0;
    virtual asio::awaitable<response> send(exchange& x) = 0;
    virtual asio::awaitable<void> pause(std::chrono::nanoseconds how_long) const = 0;
    virtual asio::awaitable<void> in_time(const exchange& x, asio::awaitable<void> step) const = 0;
    virtual std::chrono::nanoseconds now() const = 0;
    virtual const single_use_client_options& options() const noexcept = 0;

    virtual void invalidate() noexcept = 0;
    virtual void thaw() noexcept = 0;
    virtual void close() noexcept = 0;
    virtual asio::awaitable<void> async_close(std::chrono::milliseconds limit,
                                              std::source_location where) = 0;
    virtual pool_stats stats() const = 0;
    virtual context_ref home() const noexcept = 0;
};

} // namespace loopsafe::http::detail

#endif
