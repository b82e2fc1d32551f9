// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_TIMED_OPERATION_HPP
#define LOOPSAFE_RUN_DETAIL_TIMED_OPERATION_HPP

#include <loopsafe/async/detail/cancellable.hpp>
#include <loopsafe/async/detail/is_cancellation.hpp>
#include <loopsafe/error.hpp>
#include <loopsafe/run/detail/due_list.hpp>
#include <loopsafe/run/detail/own_coroutine.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

// with_deadline().
namespace loopsafe::detail {

namespace asio = boost::asio;

// Touched on the executor of the caller, which runs one handler at a time.
template <class Clock, class T>
class timed_operation final : public due_entry<Clock>,
                              public std::enable_shared_from_this<timed_operation<Clock, T>> {
    static constexpr bool has_value = !std::is_void_v<T>;

public:
    timed_operation(const asio::any_io_executor& executor, const basic_deadline<Clock>& due)
        : due_entry<Clock>(due), executor_(executor)
    {
    }

    static asio::awaitable<void> run(std::shared_ptr<timed_operation> self,
                                     asio::awaitable<T> operation)
    {
        // Also when the frame is destroyed: the signal must not reach into it any more.
        struct ending {
            timed_operation& of;
            ~ending() { of.ended_ = true; }
        };
        const ending at_the_end{*self};
        try {
            self->cancels_.begin();
            if constexpr (has_value)
                self->value_.emplace(co_await std::move(operation));
            else
                co_await std::move(operation);
        } catch (...) {
            self->error_ = std::current_exception();
        }
        co_await asio::this_coro::throw_if_cancelled(false); // see run_cancellable()
    }

    void cancel()
    {
        if (!ended_)
            cancels_.emit(asio::cancellation_type::terminal);
        was_cancelled_ = true;
    }

    asio::cancellation_slot slot() noexcept { return cancels_.slot(); }

    T take()
    {
        if (error_ != nullptr) {
            if (expired_ && is_cancellation(error_))
                throw_timed_out();
            std::rethrow_exception(error_);
        }
        if constexpr (has_value)
            return *std::move(value_);
    }

private:
    std::shared_ptr<due_entry<Clock>> keep() override { return this->shared_from_this(); }

    void passed() override
    {
        asio::dispatch(executor_, [self = this->shared_from_this()] {
            if (self->ended_)
                return;
            self->expired_ = self->expired_ || !self->was_cancelled_;
            self->cancel();
        });
    }

    const asio::any_io_executor executor_;
    cancellable cancels_;
    std::optional<std::conditional_t<has_value, T, bool>> value_;
    std::exception_ptr error_;
    bool ended_ = false;
    bool expired_ = false;
    bool was_cancelled_ = false;
};

template <class Clock, class T>
asio::awaitable<T> run_until_due(basic_deadline<Clock> due, asio::awaitable<T> operation)
{
    using timed_type = timed_operation<Clock, T>;
    if (due.is_never())
        co_return co_await std::move(operation);
    const auto now = Clock::read();
    if (due.left(now) <= std::chrono::nanoseconds::zero())
        throw_timed_out();
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto timed =
        std::allocate_shared<timed_type>(asio::recycling_allocator<timed_type>(), executor, due);
    struct in_list {
        due_list<Clock>& list;
        timed_type& timed;

        in_list(due_list<Clock>& l, timed_type& t, const clock_reading& now) : list(l), timed(t)
        {
            list.add(timed, now);
        }
        in_list(const in_list&) = delete;
        ~in_list() { list.remove(timed); }
    };
    const in_list while_it_runs(due_list<Clock>::of(executor), *timed, now);
    const asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
    auto outer = caller.slot();
    if (outer.is_connected()) {
        outer.assign([weak = std::weak_ptr(timed)](asio::cancellation_type) {
            if (const auto alive = weak.lock())
                alive->cancel();
        });
    }
    auto own = timed_type::run(timed, std::move(operation));
    co_await run_by_itself(executor, own, timed->slot());
    outer.clear();
    co_return timed->take();
}

} // namespace loopsafe::detail

#endif
