// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_OFFLOADING_HPP
#define LOOPSAFE_TESTS_LIFETIMES_OFFLOADING_HPP

#include <loopsafe/thread_offload.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <latch>
#include <lifetimes/vocabulary.hpp>
#include <lifetimes/when_dying.hpp>
#include <mutex>
#include <semaphore>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

/// What the rows of offloaded calls share.
namespace offloading {

using namespace lifetimes;
using asio::cancellation_type;
using loopsafe::async_offload;
using loopsafe::offload;
using loopsafe::offload_options;
using loopsafe::on_cancel;
using loopsafe::worker_options;
using loopsafe::worker_threads;

constexpr auto no_limit = std::chrono::milliseconds::max();

// What is made and what is destroyed, on whichever thread.
struct census {
    std::atomic<int> made{0};
    std::atomic<int> gone{0};

    int alive() const { return made - gone; }
};

// One more of something, from its making to its end. A default-constructed one is not counted.
class counted {
public:
    counted() = default;
    explicit counted(census& of) noexcept : of_(&of) { ++of.made; }
    counted(const counted& other) noexcept : of_(other.of_)
    {
        if (of_ != nullptr)
            ++of_->made;
    }
    counted& operator=(const counted&) = delete;
    ~counted()
    {
        if (of_ != nullptr)
            ++of_->gone;
    }

    explicit operator bool() const noexcept { return of_ != nullptr; }

private:
    census* of_ = nullptr;
};

// Holds a function until the test lets it go.
struct gate {
    std::latch reached{1};
    std::latch open{1};

    void pass()
    {
        reached.count_down();
        open.wait();
    }
};

// Lets go of a function whatever else happens, so that a test that fails ends.
class opener {
public:
    explicit opener(gate& of) : of_(of) {}
    opener(const opener&) = delete;
    ~opener() { now(); }

    void now()
    {
        if (!std::exchange(done_, true))
            of_.open.count_down();
    }

private:
    gate& of_;
    bool done_ = false;
};

template <class Condition>
void spin_until(Condition condition)
{
    while (!condition())
        std::this_thread::yield();
}

// The result of one call, as a completion handler gets it.
struct answer {
    int times = 0;
    error_code code;
    int value = 0;

    auto handler()
    {
        return [this](const std::exception_ptr& error, int result) {
            ++times;
            value = result;
            code = support::code_of(error);
        };
    }
};

inline asio::awaitable<void> until_cancelled()
{
    asio::steady_timer timer(co_await asio::this_coro::executor, for_ever);
    co_await timer.async_wait(asio::use_awaitable);
}

// Waits until every worker is through with what it was given before. The threads must be one.
inline void drain(worker_threads& workers)
{
    asio::io_context context(1);
    run_on(context, offload({.workers = &workers}, [] {}));
}

// Runs until it is asked to stop, or the test is over; gives whether it was asked.
class until_stopped {
public:
    struct view {
        std::latch reached{1};
        std::counting_semaphore<> over{0};
        std::stop_token token;
    };

    explicit until_stopped(std::shared_ptr<view> seen) : seen_(std::move(seen)) {}
    int operator()(const std::stop_token& stop) const
    {
        const std::stop_callback note(stop, [this] { seen_->over.release(); });
        seen_->token = stop;
        seen_->reached.count_down();
        seen_->over.acquire();
        return stop.stop_requested() ? 1 : 0;
    }

private:
    std::shared_ptr<view> seen_;
};

} // namespace offloading

#endif
