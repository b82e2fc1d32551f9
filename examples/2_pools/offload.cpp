// SPDX-License-Identifier: BSL-1.0
//
// A blocking call on a worker thread: how long the event loop stands still, with and without it.

#include <loopsafe.hpp>

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr auto tick = 1ms;

// Stands for a driver, a file system or a compressor: anything without an asynchronous interface.
int blocking_call()
{
    std::this_thread::sleep_for(50ms);
    return 42;
}

asio::awaitable<void> wait_for(clock_type::duration time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

// Ticks until it is cancelled.
asio::awaitable<void> ticks(clock_type::duration& longest_gap)
{
    for (auto last = clock_type::now();; last = clock_type::now()) {
        co_await wait_for(tick);
        longest_gap = std::max(longest_gap, clock_type::now() - last);
    }
}

template <class Call>
void measure(const char* what, Call call)
{
    clock_type::duration gap{};
    const int answer = loopsafe::run([&]() -> asio::awaitable<int> {
        loopsafe::spawn(co_await asio::this_coro::executor, ticks(gap));
        int sum = 0;
        for (int i = 0; i != 5; ++i) {
            sum += co_await call();
            co_await wait_for(10 * tick);
        }
        co_return sum / 5;
    });
    using milliseconds = std::chrono::duration<double, std::milli>;
    std::printf("%-22s gives %d; the loop stood still for %5.1f ms at most\n", what, answer,
                milliseconds(gap).count());
}

int main()
{
    measure("called on the loop", []() -> asio::awaitable<int> { co_return blocking_call(); });
    measure("offloaded", [] { return loopsafe::offload(blocking_call); });
}
