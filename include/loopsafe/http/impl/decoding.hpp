// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_DECODING_HPP
#define LOOPSAFE_HTTP_IMPL_DECODING_HPP

#include <loopsafe/http/detail/coding/body_decoder.hpp>
#include <loopsafe/http/detail/coding/codings.hpp>
#include <loopsafe/http/detail/coding/decoded_response.hpp>
#include <loopsafe/http/detail/layers/stand_in.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http {
namespace detail {

class decode_content final : public layer {
public:
    explicit decode_content(std::vector<content_coding> all)
        : known_(std::move(all)), line_(std::string(accept_encoding) + known_.names())
    {
    }

    std::string_view name() const noexcept override { return "decoding"; }
    http::place place() const noexcept override { return http::place::decoding; }

    asio::awaitable<void> lend(exchange& x, next inner) const override
    {
        return asks(x) ? lend_decoded(x, inner) : inner.lend(x);
    }

    asio::awaitable<response> send(exchange& x, next inner) const override
    {
        return asks(x) ? send_decoded(x, inner) : inner.send(x);
    }

private:
    // The request, which is gone when its response has come.
    struct asked {
        explicit asked(const exchange& x) : method(x.asked.method), url(x.asked.url), where(x.where)
        {
        }

        [[noreturn]] void fail(const error_code& ec, const evidence& seen) const
        {
            error failed(ec, seen, title());
            failed.add_place(where);
            throw failed;
        }
        std::string title() const { return method + ' ' + shown(url) + ", decoding"; }

        std::string method;
        std::string url;
        std::source_location where;
    };

    class decoding_recipient final : public stand_in {
    public:
        decoding_recipient(const known_codings& known, exchange& x)
            : stand_in(x), known_(known), asked_(x)
        {
        }

        asio::awaitable<void> take(incoming_response& from) override
        {
            const auto applied = known_.of(from.head(), asked_.method);
            if (applied.too_many)
                asked_.fail(errc::too_many_codings, from.seen());
            if (applied.size == 0)
                return outer->take(from);
            return take_decoded(from, applied);
        }

    private:
        asio::awaitable<void> take_decoded(incoming_response& from, applied_codings applied)
        {
            const asio::any_io_executor executor = co_await asio::this_coro::executor;
            const auto about = asked_.title();
            const auto decoded = std::make_unique<decoded_response>(from, applied, about, executor);
            co_await outer->take(*decoded);
        }

        const known_codings& known_;
        asked asked_;
    };

    // True if it has asked for its codings.
    bool asks(exchange& x) const
    {
        auto& headers = x.asked.headers;
        if (headers.contains(accept_encoding) || headers.contains("Range"))
            return false;
        auto& text = fields_access::text(headers);
        const auto at = text.size();
        text.append(line_);
        fields_access::add_part(headers, at, name_size, at + name_size, line_.size() - name_size);
        return true;
    }

    asio::awaitable<void> lend_decoded(exchange& x, next inner) const
    {
        decoding_recipient to(known_, x);
        to.step_in();
        co_await inner.lend(x);
    }

    asio::awaitable<response> send_decoded(exchange& x, next inner) const
    {
        const asked what(x);
        auto got = co_await inner.send(x);
        const auto applied = known_.of(got, what.method);
        if (applied.too_many)
            what.fail(errc::too_many_codings, got.seen);
        if (applied.size != 0)
            co_await decode(got, applied, inner.limits().body_bytes, what);
        co_return got;
    }

    // What cannot be compressed is longer with a coding than without.
    static bool passes_too_much(std::uint64_t bytes, std::size_t most) noexcept
    {
        constexpr std::uint64_t always = 64 * 1024;
        return bytes > always && bytes - bytes / 8 > most;
    }

    static asio::awaitable<void> decode(response& got, applied_codings applied, std::size_t most,
                                        const asked& what)
    {
        constexpr std::size_t least = 16 * 1024;
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        body_decoder decoder(applied);
        std::string all;
        std::size_t size = 0;
        std::size_t in_this_turn = 0;
        for (const bool last : {false, true}) {
            decoder.put(last ? std::string_view() : std::string_view(got.body));
            for (;;) {
                if (all.size() - size < least) {
                    const auto wanted = std::max(2 * size, 4 * got.body.size()) + least;
                    all.resize(wanted <= most ? wanted : most + 1); // 1: to see that it is more
                }
                const auto room =
                    asio::buffer(all.data() + size, std::min(all.size() - size, most_in_a_turn));
                error_code ec;
                const auto made = decoder.take(room, ec);
                if (ec)
                    what.fail(ec, got.seen);
                if (made == 0 && !decoder.is_pausing())
                    break;
                size += made;
                if (size > most || passes_too_much(decoder.passed(), most))
                    what.fail(errc::body_too_large, got.seen);
                in_this_turn += decoder.is_pausing() ? most_in_a_turn : made;
                if (in_this_turn >= most_in_a_turn) {
                    in_this_turn = 0;
                    co_await asio::post(executor, asio::deferred);
                }
            }
        }
        all.resize(size);
        got.body = std::move(all);
        say_decoded(got.headers);
    }

    static constexpr std::string_view accept_encoding = "Accept-Encoding";
    static constexpr std::size_t name_size = accept_encoding.size();

    known_codings known_;
    std::string line_; // name and value, as the fields keep them
};

inline std::shared_ptr<const layer> make_decoding(std::vector<content_coding> all)
{
    return std::make_shared<const decode_content>(std::move(all));
}

} // namespace detail
} // namespace loopsafe::http

#endif
