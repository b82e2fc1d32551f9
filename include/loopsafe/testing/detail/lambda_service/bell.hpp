// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_BELL_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_BELL_HPP

#include <loopsafe/async/detail/timer.hpp>
#include <loopsafe/context/pin.hpp>
#include <loopsafe/context/residents.hpp>
#include <loopsafe/error.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace loopsafe::testing::detail {

namespace asio = boost::asio;

// What the service's thread tells and one coroutine, on a context of its own, waits for. `Said` is
// read and changed under the lock.
template <class Said>
class bell : public std::enable_shared_from_this<bell<Said>> {
public:
    explicit bell(Said first = {}) : said_(std::move(first)) {}

    // By the service: changes what is said, and wakes who waits.
    template <class Change>
    void tell(Change change)
    {
        const std::lock_guard lock(mutex_);
        change(said_);
        if (sleeper_ == nullptr)
            return;
        const context_pin pin(home_);
        if (pin.may_touch())
            loopsafe::detail::cancel_quietly(*sleeper_);
    }

    template <class Look>
    auto look(Look what)
    {
        const std::lock_guard lock(mutex_);
        return what(said_);
    }

    // Waits until `ready(said)` holds, which is asked under the lock. One coroutine at a time.
    // Throws operation_aborted when it is cancelled.
    template <class Ready>
    asio::awaitable<void> wait_until(Ready ready)
    {
        const auto self = this->shared_from_this();
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        residents::of(executor);
        asio::steady_timer timer(executor);
        const sleeping here(*this, timer, context_of(executor));
        while (!look(ready)) {
            const auto begin = [&ready, &timer, this](auto handler) {
                const auto keep = this->shared_from_this(); // the frame may end meanwhile
                const std::lock_guard lock(mutex_);
                timer.expires_at(ready(said_) ? asio::steady_timer::time_point::min()
                                              : asio::steady_timer::time_point::max());
                loopsafe::detail::begin_wait(timer, std::move(handler));
            };
            co_await asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>,
                                          void(error_code)>(begin,
                                                            asio::as_tuple(asio::use_awaitable));
            const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
            if (state.cancelled() != asio::cancellation_type::none)
                throw boost::system::system_error(asio::error::operation_aborted);
        }
    }

private:
    class sleeping {
    public:
        sleeping(bell& on, asio::steady_timer& timer, context_ref home) : bell_(on)
        {
            const std::lock_guard lock(bell_.mutex_);
            if (bell_.sleeper_ != nullptr)
                throw std::logic_error("lambda_service: another coroutine waits for this already");
            bell_.sleeper_ = &timer;
            bell_.home_ = std::move(home);
        }
        sleeping(const sleeping&) = delete;
        sleeping& operator=(const sleeping&) = delete;
        ~sleeping()
        {
            const std::lock_guard lock(bell_.mutex_);
            bell_.sleeper_ = nullptr;
        }

    private:
        bell& bell_;
    };

    std::mutex mutex_;
    Said said_;
    asio::steady_timer* sleeper_ = nullptr;
    context_ref home_;
};

} // namespace loopsafe::testing::detail

#endif
