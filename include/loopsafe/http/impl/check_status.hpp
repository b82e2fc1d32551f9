// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_CHECK_STATUS_HPP
#define LOOPSAFE_HTTP_IMPL_CHECK_STATUS_HPP

#include <loopsafe/http/detail/layers/stand_in.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http {
namespace detail {

class status_check final : public layer {
public:
    std::string_view name() const noexcept override { return "check_status"; }
    http::place place() const noexcept override { return http::place::check; }

    asio::awaitable<response> send(exchange& x, next inner) const override
    {
        const asked_for what(x.asked);
        auto got = co_await inner.send(x);
        if (is_error(got)) {
            got.body.resize(std::min(got.body.size(), most));
            refuse_status(what, std::move(got));
        }
        co_return got;
    }

    asio::awaitable<void> lend(exchange& x, next inner) const override
    {
        checked to(x);
        to.step_in();
        co_await inner.lend(x);
    }

private:
    static constexpr std::size_t most = 4 * 1024;

    // What an error tells of a request. The request itself is used up by then.
    struct asked_for {
        explicit asked_for(const request& r) : method(r.method), url(r.url) {}

        std::string method;
        std::string url;
    };

    class checked final : public stand_in {
    public:
        explicit checked(exchange& x) : stand_in(x), what_(x.asked) {}

        asio::awaitable<void> take(incoming_response& from) override
        {
            if (!is_error(from.head())) {
                co_await outer->take(from);
                co_return;
            }
            response got;
            static_cast<response_head&>(got) = from.head();
            got.seen = from.seen();
            got.body.resize(most);
            std::size_t size = 0;
            try {
                std::size_t part = 1;
                while (part != 0 && size != most) {
                    const auto room = asio::buffer(got.body.data() + size, most - size);
                    part = co_await from.read_some(room);
                    size += part;
                }
            } catch (const error& e) { // the status says more than a body that is cut
                if (e.code() == asio::error::operation_aborted)
                    throw;
            }
            got.body.resize(size);
            refuse_status(what_, std::move(got));
        }

    private:
        asked_for what_;
    };

    static bool is_error(const response_head& got) noexcept { return !(got.status < 400); }

    [[noreturn]] static void refuse_status(const asked_for& what, response&& got)
    {
        const auto status = std::to_string(got.status);
        throw status_error(std::make_shared<const response>(std::move(got)),
                           what.method + ' ' + shown(what.url) + ": status " + status);
    }
};

} // namespace detail

inline std::shared_ptr<const layer> check_status()
{
    return std::make_shared<const detail::status_check>();
}

} // namespace loopsafe::http

#endif
