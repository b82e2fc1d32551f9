// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_COLLECTOR_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_COLLECTOR_HPP

#include <loopsafe/http/layers/exchange.hpp>
#include <loopsafe/http/response.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <utility>

namespace loopsafe::http::detail {

// Makes a whole response of one that is lent.
class collector final : public recipient {
public:
    explicit collector(std::size_t most) : most_(most) {}

    boost::asio::awaitable<void> take(incoming_response& from) override
    {
        if (from.length().value_or(0) > most_)
            throw error(errc::body_too_large, from.seen(), {});
        static_cast<response_head&>(got_) = from.head();
        try {
            got_.body = co_await from.read_all(most_);
        } catch (const error&) {
            throw;
        } catch (const boost::system::system_error& e) { // cancelled between two waits
            throw error(e.code(), from.seen(), {});
        }
        got_.trailers = from.trailers();
        got_.seen = from.seen();
    }

    response&& got() noexcept { return std::move(got_); }

private:
    std::size_t most_;
    response got_;
};

} // namespace loopsafe::http::detail

#endif
