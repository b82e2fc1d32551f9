// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_DUE_LIST_HPP
#define LOOPSAFE_RUN_DETAIL_DUE_LIST_HPP

#include <loopsafe/async/detail/asking.hpp>
#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/async/detail/timer.hpp>
#include <loopsafe/context/detail/located_executor.hpp>
#include <loopsafe/context/detail/without_strand.hpp>
#include <loopsafe/context/local.hpp>
#include <loopsafe/error.hpp>
#include <loopsafe/pool/mutex.hpp>
#include <loopsafe/run/deadline.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/require.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace loopsafe::detail {

namespace asio = boost::asio;

[[noreturn]] inline void throw_timed_out()
{
    throw boost::system::system_error(make_error_code(errc::timed_out));
}

// What has a limit. It is taken out of the list before it ends.
template <class Clock>
class due_entry {
public:
    explicit due_entry(const basic_deadline<Clock>& due) noexcept : due_(due) {}
    due_entry(const due_entry&) = delete;

protected:
    ~due_entry() = default;

private:
    template <class>
    friend class due_list;

    virtual std::shared_ptr<due_entry> keep() = 0; // in the lock
    // Perhaps more than once, and perhaps when what has a limit has ended. May have no memory.
    virtual void passed() = 0;

    std::chrono::nanoseconds by_timer(const clock_reading& now) const noexcept
    {
        const auto left = due_.left(now);
        return now.monotonic + std::min(left, std::chrono::nanoseconds::max() - now.monotonic);
    }

    static constexpr auto nowhere = static_cast<std::size_t>(-1);

    const basic_deadline<Clock> due_;
    std::chrono::nanoseconds at_{}; // of the monotonic clock, unless that stops meanwhile
    std::size_t place_ = nowhere;   // in the heap
};

// The deadlines of one context: a heap, and one timer for all of them.
//
// A timer keeps a context at work, and costs a system call. So it is neither set again for a
// deadline that comes later than the first, nor cancelled at once with the last: another one often
// begins before the context is asked again.
template <class Clock>
class due_list {
    using nanoseconds = std::chrono::nanoseconds;
    using timer_type = typename Clock::timer;
    using entry = due_entry<Clock>;

public:
    explicit due_list(const asio::any_io_executor& executor)
        : executor_(without_strand(bare(executor))), timer_(executor_)
    {
    }
    due_list(const due_list&) = delete;

    // For whoever runs on the context.
    static due_list& of(const asio::any_io_executor& executor)
    {
        struct found {
            context_ref home;
            due_list* list = nullptr;
        };
        static thread_local found latest;
        const auto* const context = asking_context(executor);
        if (context != nullptr && latest.home.is(*context)) [[likely]]
            return *latest.list;
        auto& list = context_local<due_list>::in(executor);
        latest = {context_of(executor), &list};
        return list;
    }

    // Exception safety: strong.
    void add(entry& e, const clock_reading& now)
    {
        const std::lock_guard lock(mutex_);
        look_at(now);
        e.at_ = e.by_timer(now);
        heap_.push_back(&e);
        e.place_ = heap_.size() - 1;
        rise(e.place_);
        try {
            arm();
        } catch (...) {
            take_out(e);
            throw;
        }
    }

    void remove(entry& e) noexcept
    {
        const std::lock_guard lock(mutex_);
        if (e.place_ == entry::nowhere)
            return;
        take_out(e);
        if (heap_.empty() && !resting_ && home_.alive())
            rest();
    }

    // The machine may have been frozen: some clocks then stood still, also the timer's.
    void thaw()
    {
        const auto now = Clock::read();
        {
            const std::lock_guard lock(mutex_);
            reckon(now);
        }
        fire(); // sets the timer, too
    }

private:
    // Have the clocks gone apart since the last time?
    void look_at(const clock_reading& now) noexcept
    {
        const auto by_timer = now.monotonic - seen_.monotonic;
        const bool frozen = now.since(seen_) > by_timer + clocks_apart;
        seen_ = now;
        if (frozen)
            reckon(now);
    }

    void reckon(const clock_reading& now) noexcept
    {
        seen_ = now;
        for (auto* each : heap_)
            each->at_ = each->by_timer(now);
        std::sort(heap_.begin(), heap_.end(), [](auto* a, auto* b) { return a->at_ < b->at_; });
        for (std::size_t i = 0; i != heap_.size(); ++i)
            heap_[i]->place_ = i;
    }

    void arm()
    {
        if (heap_.empty() || heap_.front()->at_ >= armed_)
            return;
        armed_ = heap_.front()->at_;
        try {
            timer_.expires_at(typename timer_type::time_point(armed_));
            timer_.async_wait([this](const boost::system::error_code& ec) {
                if (!ec)
                    fire();
            });
        } catch (...) {
            armed_ = nanoseconds::max();
            throw;
        }
    }

    void fire() noexcept
    {
        for (;;) {
            std::shared_ptr<entry> next;
            const auto now = Clock::read();
            {
                const std::lock_guard lock(mutex_);
                look_at(now);
                if (heap_.empty() || heap_.front()->at_ > now.monotonic) {
                    armed_ = nanoseconds::max();
                    try {
                        arm();
                    } catch (...) { // no memory: the next deadline tries again
                    }
                    return;
                }
                next = heap_.front()->keep();
                put_off(*next, nanoseconds::max());
            }
            try {
                next->passed();
            } catch (...) { // no memory
                const std::lock_guard lock(mutex_);
                if (next->place_ != entry::nowhere)
                    put_off(*next, now.monotonic + clocks_apart);
            }
        }
    }

    void put_off(entry& e, nanoseconds until) noexcept
    {
        e.at_ = until;
        rise(e.place_);
        sink(e.place_);
    }

    // Later, unless there is another deadline by then.
    void rest() noexcept
    {
        try {
            const auto later = [this] {
                const std::lock_guard lock(mutex_);
                resting_ = false;
                if (heap_.empty())
                    disarm();
            };
            if (const auto* plain = executor_.template target<asio::io_context::executor_type>())
                asio::require(*plain, asio::execution::blocking.never).execute(later);
            else
                asio::require(executor_, asio::execution::blocking.never).execute(later);
            resting_ = true;
        } catch (...) { // no memory
            disarm();
        }
    }

    void disarm() noexcept
    {
        cancel_quietly(timer_);
        armed_ = nanoseconds::max();
    }

    void take_out(entry& e) noexcept
    {
        const auto place = std::exchange(e.place_, entry::nowhere);
        auto* const last = heap_.back();
        heap_.pop_back();
        if (place == heap_.size())
            return;
        heap_[place] = last;
        last->place_ = place;
        rise(place);
        sink(last->place_);
    }

    void rise(std::size_t place) noexcept
    {
        for (; place != 0; place = (place - 1) / 2) {
            if (!swap_if_earlier(place, (place - 1) / 2))
                return;
        }
    }

    void sink(std::size_t place) noexcept
    {
        for (std::size_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
            if (child + 1 < heap_.size() && heap_[child + 1]->at_ < heap_[child]->at_)
                ++child;
            if (!swap_if_earlier(child, place))
                return;
            place = child;
        }
    }

    bool swap_if_earlier(std::size_t lower, std::size_t upper) noexcept
    {
        if (!(heap_[lower]->at_ < heap_[upper]->at_))
            return false;
        std::swap(heap_[lower], heap_[upper]);
        std::swap(heap_[lower]->place_, heap_[upper]->place_);
        return true;
    }

    const asio::any_io_executor executor_;
    const context_ref home_ = context_of(executor_);
    pool_mutex mutex_;
    timer_type timer_;
    std::vector<entry*> heap_; // the earliest first
    nanoseconds armed_ = nanoseconds::max();
    clock_reading seen_ = Clock::read();
    bool resting_ = false;
};

} // namespace loopsafe::detail

#endif
