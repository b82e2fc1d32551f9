// SPDX-License-Identifier: BSL-1.0
// What else a warm acquire and release costs: heap, clocks, system calls.
#include "../support/heap.hpp"
#include "warm_pool.hpp"

namespace {

using namespace bench;

struct counting_clock : loopsafe::pool_clock {
    static inline long cheap_readings = 0;
    static inline long full_readings = 0;

    static std::chrono::nanoseconds cheap() noexcept
    {
        ++cheap_readings;
        return pool_clock::cheap();
    }
    static loopsafe::clock_reading read() noexcept
    {
        ++full_readings;
        return pool_clock::read();
    }
};

using unlocked = loopsafe::basic_keep_alive_pool<loopsafe::no_mutex>;
using counted = loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, counting_clock>;

// Each run() begins with an empty cache of frames, so the first few acquires are not counted.
template <class Pool>
asio::awaitable<void> count_allocations(Pool& pool, int calls, long& allocated)
{
    std::optional<heap::watch> counting;
    for (int i = -10; i != calls; ++i) {
        if (i == 0)
            counting.emplace();
        auto lease = co_await pool.acquire();
        keep(lease);
    }
    allocated = heap::allocations;
}

void heap_rows()
{
    const auto of = [](auto& warm) {
        long allocated = -1;
        run(warm.context, count_allocations(warm.pool, 100'000, allocated));
        return static_cast<double>(allocated);
    };
    warm_pool<loopsafe::keep_alive_pool> locked(timeless());
    warm_pool<unlocked> lockless(timeless());
    warm_pool<loopsafe::keep_alive_pool> defaults({});
    row("heap allocations in 100000 acquires", of(locked), "allocations", 0, 0);
    row("heap allocations in 100000 acquires, no_mutex", of(lockless), "allocations", 0, 0);
    row("heap allocations in 100000 acquires, default options", of(defaults), "allocations", 0, 0);
}

void clock_rows()
{
    constexpr int calls = 100'000;
    warm_pool<counted> warm({});
    warm_pool<counted> none(timeless());
    const auto readings = [](auto& pool) {
        counting_clock::cheap_readings = 0;
        counting_clock::full_readings = 0;
        pool(calls);
        return static_cast<double>(counting_clock::cheap_readings) / calls;
    };
    row("coarse clock readings in an acquire, limits and probe off", readings(none), "readings", 0,
        0);
    row("coarse clock readings in an acquire, default options", readings(warm), "readings", 0, 1);
    row("looks at all three clocks in 100000 acquires, default options",
        static_cast<double>(counting_clock::full_readings), "looks", 0);
}

void system_call_rows()
{
    const auto calls_in = [](int acquires) {
        return static_cast<double>(count(event::system_calls, [&] {
            warm_pool<loopsafe::keep_alive_pool> warm({});
            run(warm.context, marked(acquire_and_release(warm.pool, acquires)));
        }));
    };
    row("system calls in 1000 acquires, default options", calls_in(1000), "system calls", 0, 0);
    row("system calls in 1000000 acquires, default options", calls_in(1'000'000), "system calls", 0,
        0);
}

} // namespace

int main()
{
    system_call_rows();
    heap_rows();
    clock_rows();
}
