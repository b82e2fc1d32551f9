// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_REQUEST_LAYER_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_REQUEST_LAYER_HPP

#include <loopsafe/http/layers/layer.hpp>

#include <boost/asio/awaitable.hpp>

#include <utility>

namespace loopsafe::http::detail {

// A layer that does something to each request, and nothing to its response.
class request_layer : public layer {
public:
    boost::asio::awaitable<void> lend(exchange& x, next inner) const final
    {
        auto rest = prepare(x, inner);
        return rest.valid() ? lend_after(std::move(rest), x, inner) : inner.lend(x);
    }

    boost::asio::awaitable<response> send(exchange& x, next inner) const final
    {
        auto rest = prepare(x, inner);
        return rest.valid() ? send_after(std::move(rest), x, inner) : inner.send(x);
    }

private:
    // Returns what must be waited for before the request goes on; where that is nothing, an
    // awaitable that is not valid.
    virtual boost::asio::awaitable<void> prepare(exchange& x, const next& inner) const = 0;

    static boost::asio::awaitable<void> lend_after(boost::asio::awaitable<void> rest, exchange& x,
                                                   next inner)
    {
        co_await inner.in_time(x, std::move(rest));
        co_await inner.lend(x);
    }
    static boost::asio::awaitable<response> send_after(boost::asio::awaitable<void> rest,
                                                       exchange& x, next inner)
    {
        co_await inner.in_time(x, std::move(rest));
        co_return co_await inner.send(x);
    }
};

} // namespace loopsafe::http::detail

#endif
