// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_DETAIL_STATE_HPP
#define LOOPSAFE_CONTEXT_DETAIL_STATE_HPP

#include <loopsafe/detail/intrusive_list.hpp>
#include <loopsafe/detail/thread_mark.hpp>
#include <loopsafe/error.hpp>

#include <boost/asio/execution_context.hpp>
#include <boost/config.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// Two shared libraries may each have a counter all the same: an id is {counter, number}.
inline BOOST_SYMBOL_VISIBLE std::atomic<std::uint64_t> context_counter{0};

// Outlives the context, so that everything that refers to the context can check it.
class context_state {
public:
    explicit context_state(asio::execution_context& context) noexcept : address(&context) {}

    const std::atomic<std::uint64_t>* const counter = &context_counter;
    const std::uint64_t number = ++context_counter;
    asio::execution_context* const address; // compared, and dereferenced only while alive

    bool alive() const noexcept { return (life_.load(std::memory_order_acquire) & dead_bit) == 0; }

    bool is(const asio::execution_context* context) const noexcept
    {
        return context == address && alive();
    }

    // A pin keeps the death hook waiting, so that another thread may touch the context's objects.
    // Where it may end one, perhaps the last that keeps the context, it says which thread has it.
    struct thread_pin : list_node {
        thread_mark by;
    };

    bool pin(thread_pin& p) noexcept
    {
        if (!pin())
            return false;
        p.by = this_thread();
        const std::lock_guard lock(mutex_);
        pins_.push_back(p);
        return true;
    }

    void unpin(thread_pin& p) noexcept
    {
        {
            const std::lock_guard lock(mutex_);
            p.unlink();
        }
        unpin();
    }

    bool pin() noexcept
    {
        auto word = life_.load(std::memory_order_relaxed);
        do {
            if ((word & dead_bit) != 0)
                return false;
        } while (!life_.compare_exchange_weak(word, word + 1, std::memory_order_acquire,
                                              std::memory_order_relaxed));
        return true;
    }

    void unpin() noexcept
    {
        if ((life_.fetch_sub(1, std::memory_order_release) & dead_bit) != 0)
            life_.notify_all();
    }

    void die() noexcept
    {
        if (alive())
            unwinding_thread_.store(this_thread(), std::memory_order_relaxed);
        life_.fetch_or(dead_bit, std::memory_order_acq_rel);
        const auto done = dead_bit | pins_of_this_thread(); // which waits for no thread but others
        for (auto word = life_.load(std::memory_order_acquire); word != done;
             word = life_.load(std::memory_order_acquire))
            life_.wait(word, std::memory_order_acquire);
    }

    // From the death hook until the last frame is gone, on the thread that destroys the context:
    // its objects still exist there and may be touched.
    bool unwinding_here() const noexcept
    {
        return unwinding_thread_.load(std::memory_order_relaxed) == this_thread();
    }

    void unwound() noexcept { unwinding_thread_.store(thread_mark(), std::memory_order_relaxed); }

    context_info info() const
    {
        const std::lock_guard lock(mutex_);
        return {number, name_, alive(), origin_, where_};
    }

    void meet(const std::source_location& where)
    {
        if (met_.load(std::memory_order_acquire))
            return;
        const std::lock_guard lock(mutex_);
        if (origin_ == context_origin::none)
            describe(context_origin::seen, where);
    }

    void name(std::string name, context_origin origin, const std::source_location& where)
    {
        const std::lock_guard lock(mutex_);
        name_ = std::move(name);
        if (origin_ != context_origin::run && origin_ != context_origin::runner)
            describe(origin, where);
    }

private:
    static constexpr std::uint32_t dead_bit = 0x8000'0000u;

    void describe(context_origin origin, const std::source_location& where) noexcept
    {
        origin_ = origin;
        where_ = where;
        met_.store(true, std::memory_order_release);
    }

    std::uint32_t pins_of_this_thread() noexcept
    {
        std::uint32_t count = 0;
        const std::lock_guard lock(mutex_);
        for (const auto& each : pins_)
            count += each.by == this_thread() ? 1 : 0;
        return count;
    }

    std::atomic<std::uint32_t> life_{0}; // the dead bit, and the number of pins
    std::atomic<thread_mark> unwinding_thread_{};
    mutable std::mutex mutex_;
    intrusive_list<thread_pin> pins_;
    std::atomic<bool> met_{false};
    std::string name_;
    context_origin origin_ = context_origin::none;
    std::source_location where_;
};

} // namespace loopsafe::detail

#endif
