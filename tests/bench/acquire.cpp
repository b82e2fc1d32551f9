// SPDX-License-Identifier: BSL-1.0
// A warm acquire and release, for coroutines: time, instructions, heap, clocks, system calls.
#include "allocations.hpp"
#include "idle_connector.hpp"
#include "measure.hpp"
#include "stepping.hpp"

#include <semaphore>
#include <thread>

namespace {

using namespace bench;

asio::awaitable<int> empty()
{
    co_return 1;
}

asio::awaitable<void> await_empty(int calls)
{
    for (int i = 0; i != calls; ++i) {
        auto result = co_await empty();
        keep(result);
    }
}

template <class Pool>
asio::awaitable<void> acquire_and_release(Pool& pool, int calls)
{
    for (int i = 0; i != calls; ++i) {
        auto lease = co_await pool.acquire();
        keep(lease);
    }
}

asio::awaitable<void> timed(asio::awaitable<void> loop, double& nanoseconds)
{
    const auto begin = std::chrono::steady_clock::now();
    co_await std::move(loop);
    nanoseconds =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
}

asio::awaitable<void> marked(asio::awaitable<void> loop)
{
    mark();
    co_await std::move(loop);
    mark();
}

// A pool with one warm connection, on a context of its own.
template <class Policy>
struct warm_pool {
    explicit warm_pool(typename Policy::options options)
        : pool(context, idle_connector{}, std::move(options))
    {
        run(context, acquire_and_release(pool, 100));
    }

    double operator()(int calls)
    {
        double nanoseconds = 0;
        run(context, timed(acquire_and_release(pool, calls), nanoseconds));
        return nanoseconds;
    }

    asio::io_context context{1};
    loopsafe::connection_pool<idle_connector, Policy> pool;
};

// What acquire does to find out that the caller is at home.
template <class Policy>
double check_home(warm_pool<Policy>& warm, int calls)
{
    asio::any_io_executor executor = warm.context.get_executor();
    const auto home = warm.pool.home();
    bool at_home = true;
    return nanoseconds([&] {
        for (int i = 0; i != calls; ++i) {
            keep(executor);
            const auto* context = loopsafe::detail::queried_context(executor);
            at_home = context != nullptr && home.is(*context);
            keep(at_home);
        }
    });
}

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
using counted = loopsafe::basic_keep_alive_pool<std::mutex, counting_clock>;

void time_rows(const std::string& threads)
{
    warm_pool<loopsafe::keep_alive_pool> locked(timeless());
    warm_pool<unlocked> lockless(timeless());
    warm_pool<loopsafe::keep_alive_pool> defaults({});
    asio::io_context context(1);
    const auto best = least(
        20'000, 300,
        [&](int calls) {
            double nanoseconds = 0;
            run(context, timed(await_empty(calls), nanoseconds));
            return nanoseconds;
        },
        std::ref(locked), std::ref(lockless), std::ref(defaults),
        [&](int calls) { return check_home(locked, calls); });
    row("acquire + release, " + threads, best[1], "ns", best[0], 2.6);
    row("acquire + release, no_mutex, " + threads, best[2], "ns", best[0], 2.1);
    row("acquire + release, default options, " + threads, best[3], "ns", best[0]);
    row("tag check in an acquire, " + threads, best[4], "ns", best[1], 0.15);
}

template <class MakeLoop>
double instructions(MakeLoop make_loop)
{
    constexpr int calls = 100;
    return static_cast<double>(count(event::instructions,
                                     [&] {
                                         make_loop([](asio::io_context& context, auto loop) {
                                             run(context, loop(10));
                                             run(context, marked(loop(calls)));
                                         });
                                     })) /
           calls;
}

template <class Policy>
double instructions_of(typename Policy::options options)
{
    return instructions([&](auto step) {
        warm_pool<Policy> warm(options);
        step(warm.context, [&](int calls) { return acquire_and_release(warm.pool, calls); });
    });
}

void instruction_rows()
{
    const double base = instructions([](auto step) {
        asio::io_context context(1);
        step(context, [](int calls) { return await_empty(calls); });
    });
    row("acquire + release", instructions_of<loopsafe::keep_alive_pool>(timeless()), "instructions",
        base);
    row("acquire + release, no_mutex", instructions_of<unlocked>(timeless()), "instructions", base);
    row("acquire + release, default options", instructions_of<loopsafe::keep_alive_pool>({}),
        "instructions", base);
    warm_pool<loopsafe::keep_alive_pool> warm(timeless());
    const auto checks = [&](int calls) {
        return static_cast<double>(count(event::instructions, [&] {
            mark();
            check_home(warm, calls);
            mark();
        }));
    };
    row("tag check in an acquire", (checks(110) - checks(10)) / 100, "instructions",
        instructions_of<loopsafe::keep_alive_pool>(timeless()), 0.15);
}

// Each run() begins with an empty cache of frames, so the first few acquires are not counted.
template <class Pool>
asio::awaitable<void> count_allocations(Pool& pool, int calls, long& allocated)
{
    long before = 0;
    for (int i = -10; i != calls; ++i) {
        if (i == 0)
            before = allocations;
        auto lease = co_await pool.acquire();
        keep(lease);
    }
    allocated = allocations - before;
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
    instruction_rows();
    system_call_rows();
    heap_rows();
    clock_rows();
    time_rows("one thread");
    // glibc locks without atomic operations for as long as there is only one thread.
    std::binary_semaphore done(0);
    std::jthread other([&] { done.acquire(); });
    time_rows("two threads");
    done.release();
}
