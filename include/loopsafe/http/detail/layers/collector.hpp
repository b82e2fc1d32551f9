// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_COLLECTOR_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_COLLECTOR_HPP

#include <loopsafe/http/detail/layers/stand_in.hpp>
#include <loopsafe/http/error.hpp>
#include <loopsafe/http/fields.hpp>
#include <loopsafe/http/response.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <utility>

namespace loopsafe::http::detail {

// A layer that neither lends a response nor throws has made none.
[[noreturn]] inline void refuse_nothing_lent()
{
    refuse(errc::bad_layer, "a layer ended without a response");
}

// Makes a whole response of one that is lent.
class collector final : public stand_in {
public:
    collector(exchange& x, std::size_t most)
        : stand_in(x), most_(most), is_head_(x.asked.method == "HEAD")
    {
    }

    boost::asio::awaitable<void> take(incoming_response& from) override
    {
        if (has_body(from.head().status) && from.length().value_or(0) > most_)
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

    response&& got()
    {
        if (got_.status == 0)
            refuse_nothing_lent();
        return std::move(got_);
    }

private:
    // Without one, a length is that of the body which a GET would have got.
    bool has_body(int status) const noexcept
    {
        constexpr int not_modified = 304;
        return !is_head_ && status != not_modified;
    }

    std::size_t most_;
    bool is_head_;
    response got_;
};

} // namespace loopsafe::http::detail

#endif
