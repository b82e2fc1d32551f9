// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_DEADLINE_HPP
#define LOOPSAFE_DETAIL_DEADLINE_HPP

#include <loopsafe/pool_policy.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// A limit that the timer's clock cannot count to is none.
template <class Timer>
void expire_after(Timer& timer, std::chrono::milliseconds limit)
{
    using std::chrono::milliseconds;
    if (limit > std::chrono::duration_cast<milliseconds>(Timer::duration::max()))
        timer.expires_at(Timer::time_point::max());
    else
        timer.expires_after(std::max(limit, milliseconds::zero()));
}

// All members are touched on the strand only, until the operation has ended.
template <class Timer>
struct deadline {
    explicit deadline(const asio::any_io_executor& executor)
        : strand(asio::make_strand(executor)), timer(strand)
    {
    }

    asio::strand<asio::any_io_executor> strand;
    Timer timer;
    asio::cancellation_signal cancel;
    bool ended = false;
    bool expired = false;
    std::exception_ptr error;
};

template <class Timer>
asio::awaitable<void> run_until(std::shared_ptr<deadline<Timer>> d, std::chrono::milliseconds limit,
                                asio::awaitable<void> operation)
{
    if (limit != never) {
        expire_after(d->timer, limit);
        d->timer.async_wait([d](const boost::system::error_code& ec) {
            if (!ec && !d->ended) {
                d->expired = true;
                d->cancel.emit(asio::cancellation_type::terminal);
            }
        });
    }
    try {
        co_await std::move(operation);
    } catch (...) {
        d->error = std::current_exception();
    }
    d->ended = true;
    d->timer.cancel();
}

// Runs the operation; false: the deadline came first, and the operation has ended by cancellation.
// Cancelling the caller cancels the operation.
template <class Timer>
asio::awaitable<bool> finishes_within(asio::any_io_executor executor,
                                      std::chrono::milliseconds limit,
                                      asio::awaitable<void> operation)
{
    const auto d = std::make_shared<deadline<Timer>>(executor);
    const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
    auto outer = cancellation.slot();
    if (outer.is_connected()) {
        // Terminal, whatever the caller let through: the operation is a coroutine of its own, with
        // a filter of its own.
        outer.assign([weak = std::weak_ptr(d)](asio::cancellation_type) {
            if (const auto alive = weak.lock()) {
                asio::dispatch(alive->strand,
                               [alive] { alive->cancel.emit(asio::cancellation_type::terminal); });
            }
        });
    }
    const auto [not_started] = co_await asio::co_spawn(
        d->strand, run_until(d, limit, std::move(operation)),
        asio::bind_cancellation_slot(d->cancel.slot(), asio::as_tuple(asio::use_awaitable)));
    outer.clear();
    if (not_started != nullptr)
        std::rethrow_exception(not_started);
    if (d->error != nullptr && !d->expired)
        std::rethrow_exception(d->error);
    co_return d->error == nullptr;
}

} // namespace loopsafe::detail

#endif
