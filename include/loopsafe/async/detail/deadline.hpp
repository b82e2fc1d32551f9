// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_DEADLINE_HPP
#define LOOPSAFE_ASYNC_DETAIL_DEADLINE_HPP

#include <loopsafe/async/detail/serial_executor.hpp>
#include <loopsafe/async/detail/timer.hpp>
#include <loopsafe/context/detail/located_executor.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// Touched in the gate only, until the operation has ended; but for `wanted`.
template <class Timer>
struct deadline final : gate_errand {
    // An inner deadline shares the gate of the outer one: two gates would be locked in both orders.
    deadline(const asio::any_io_executor& executor, const serial_executor* outer)
        : gate(outer != nullptr ? outer->gate()
                                : std::make_shared<serial_gate>(untracked(executor))),
          nested(outer != nullptr),
          timer(executor)
    {
    }

    enum : unsigned { by_caller = 1, by_timer = 2 };

    static void stop(const std::shared_ptr<deadline>& d, unsigned why) noexcept
    {
        d->wanted.fetch_or(why);
        d->gate->run_between_steps(d);
    }

    void run() noexcept override
    {
        const auto why = wanted.exchange(0);
        if (why == 0 || ended)
            return;
        expired = expired || (why & by_timer) != 0;
        try {
            cancel.emit(asio::cancellation_type::terminal);
        } catch (...) { // declared, though never thrown by Asio's reactors
        }
    }

    const std::shared_ptr<serial_gate> gate;
    const bool nested;
    Timer timer;
    asio::cancellation_signal cancel;
    bool ended = false;
    bool expired = false;
    std::exception_ptr error;
    std::atomic<unsigned> wanted{0};
};

template <class Timer>
asio::awaitable<void> run_until(std::shared_ptr<deadline<Timer>> d, std::chrono::milliseconds limit,
                                asio::awaitable<void> operation)
{
    // Also when the frame is destroyed: the signal must not reach into it any more.
    struct ending {
        deadline<Timer>& d;

        ~ending()
        {
            d.gate->pass([this] {
                d.ended = true;
                d.timer.cancel();
            });
            if (!d.nested)
                d.gate->leave();
        }
    };
    const ending at_the_end{*d};
    if (limit != never) {
        expire_after(d->timer, limit);
        d->timer.async_wait([d](const boost::system::error_code& ec) {
            if (!ec)
                deadline<Timer>::stop(d, deadline<Timer>::by_timer);
        });
    }
    try {
        co_await std::move(operation);
    } catch (...) {
        d->error = std::current_exception();
    }
    // Asio waits once more for one that has not waited, and would throw a cancellation from there.
    co_await asio::this_coro::throw_if_cancelled(false);
}

struct finished {
    std::exception_ptr error; // null: success, even if late
    bool expired = false;     // the deadline came first, and the operation ended by cancellation
};

// Runs the operation to its end. Cancelling the caller cancels it.
template <class Timer>
asio::awaitable<finished> finish_within(asio::any_io_executor executor,
                                        std::chrono::milliseconds limit,
                                        asio::awaitable<void> operation)
{
    const asio::any_io_executor own = co_await asio::this_coro::executor;
    const auto d = std::make_shared<deadline<Timer>>(executor, own.target<serial_executor>());
    const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
    auto outer = cancellation.slot();
    if (outer.is_connected()) {
        // Terminal, whatever the caller's filter lets through: the operation is a coroutine of its
        // own, with a filter of its own.
        outer.assign([weak = std::weak_ptr(d)](asio::cancellation_type) {
            if (const auto alive = weak.lock())
                deadline<Timer>::stop(alive, deadline<Timer>::by_caller);
        });
    }
    const auto [not_started] = co_await asio::co_spawn(
        asio::any_io_executor(serial_executor(d->gate)), run_until(d, limit, std::move(operation)),
        asio::bind_cancellation_slot(d->cancel.slot(), asio::as_tuple(asio::use_awaitable)));
    outer.clear();
    if (not_started != nullptr)
        co_return finished{not_started};
    co_return finished{std::move(d->error), d->expired};
}

} // namespace loopsafe::detail

#endif
