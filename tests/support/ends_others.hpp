// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_ENDS_OTHERS_HPP
#define LOOPSAFE_TESTS_SUPPORT_ENDS_OTHERS_HPP

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace support {

namespace asio = boost::asio;

// Operations that end within their cancellation, each with the two that follow it.
class ends_others {
public:
    explicit ends_others(std::size_t count) : completions_(count) {}

    asio::awaitable<void> wait(std::size_t which)
    {
        const auto begin = [this, which](auto handler) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            const auto kept = std::make_shared<decltype(handler)>(std::move(handler));
            completions_[which] = [kept] { std::move (*kept)(); };
            // Asio destroys this while it runs.
            slot.assign(
                [self = this, first = which](asio::cancellation_type) { end_three(*self, first); });
        };
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(begin,
                                                                             asio::use_awaitable);
        ++ended_;
    }

    std::size_t size() const noexcept { return completions_.size(); }
    std::size_t ended() const noexcept { return ended_; }

private:
    static void end_three(ends_others& all, std::size_t first)
    {
        for (const std::size_t next : {first + 1, first + 2, first}) {
            if (auto complete = std::exchange(all.completions_[next % all.size()], nullptr))
                complete();
        }
    }

    std::vector<std::function<void()>> completions_;
    std::size_t ended_ = 0;
};

} // namespace support

#endif
