// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_STANDING_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_STANDING_HPP

#include <loopsafe/http/detail/call.hpp>
#include <loopsafe/http/detail/wire/keep_alive_hint.hpp>

#include <chrono>
#include <string_view>

namespace loopsafe::http::detail {

// The state of a connection between two exchanges. It moves with it to the next context.
template <class Timer>
class standing {
    using clock = typename Timer::clock_type;
    using time_point = typename Timer::time_point;

public:
    // An exchange has succeeded. `hinted`: there is a Keep-Alive field. `timed`: the time that it
    // is then idle will be needed.
    void exchange_ended(const call& c, bool hinted, bool timed)
    {
        const auto hint = hinted ? keep_alive_hint(c.answer.headers) : std::nullopt;
        if (hint || timed)
            ended_ = clock::now();
        welcome_until_ = hint ? ended_ + *hint : time_point::max();
        used_ = true;
    }

    bool is_used() const noexcept { return used_; }

    // As far as the server has announced.
    bool takes_another() const noexcept { return ended_ < welcome_until_; }
    bool is_welcome() const noexcept { return clock::now() < welcome_until_; }

    std::chrono::nanoseconds idle_for() const noexcept
    {
        return used_ ? std::chrono::nanoseconds(clock::now() - ended_)
                     : std::chrono::nanoseconds::zero();
    }

private:
    time_point ended_{}; // the last response
    time_point welcome_until_ = time_point::max();
    bool used_ = false;
};

} // namespace loopsafe::http::detail

#endif
