// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_WARM_POOL_HPP
#define LOOPSAFE_TESTS_BENCH_WARM_POOL_HPP

#include "idle_connector.hpp"
#include "measure.hpp"
#include "stepping.hpp"

#include <semaphore>
#include <thread>

// Each policy has a program of its own: how much of Asio is inlined depends on how many there are.
namespace bench {

inline asio::awaitable<int> empty()
{
    co_return 1;
}

inline asio::awaitable<void> await_empty(int calls)
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

inline asio::awaitable<void> timed(asio::awaitable<void> loop, double& nanoseconds)
{
    const auto begin = std::chrono::steady_clock::now();
    co_await std::move(loop);
    nanoseconds =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
}

inline asio::awaitable<void> marked(asio::awaitable<void> loop)
{
    mark();
    co_await std::move(loop);
    mark();
}

// A pool with one warm connection, on a context of its own.
template <class Policy, class Connector = idle_connector>
struct warm_pool {
    using pool_type = loopsafe::connection_pool<Connector, Policy>;

    explicit warm_pool(typename Policy::options options) : pool(make(context, options))
    {
        run(context, acquire_and_release(pool, 100));
    }

    double operator()(int calls)
    {
        double nanoseconds = 0;
        run(context, timed(acquire_and_release(pool, calls), nanoseconds));
        return nanoseconds;
    }

    static pool_type make(asio::io_context& context, const typename Policy::options& options)
    {
        if constexpr (Policy::has_home)
            return pool_type(context, Connector{}, options);
        else
            return pool_type(Connector{}, options);
    }

    asio::io_context context{1};
    pool_type pool;
};

inline double time_empty(int calls)
{
    asio::io_context context(1);
    double nanoseconds = 0;
    run(context, timed(await_empty(calls), nanoseconds));
    return nanoseconds;
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

template <class Policy, class Connector = idle_connector>
double instructions_of(typename Policy::options options)
{
    return instructions([&](auto step) {
        warm_pool<Policy, Connector> warm(options);
        step(warm.context, [&](int calls) { return acquire_and_release(warm.pool, calls); });
    });
}

inline double instructions_of_empty()
{
    return instructions([](auto step) {
        asio::io_context context(1);
        step(context, [](int calls) { return await_empty(calls); });
    });
}

// Once as the only thread, and once beside another: glibc locks without atomic operations for as
// long as there is only one.
template <class Rows>
void alone_and_beside_another(Rows rows)
{
    rows("one thread");
    std::binary_semaphore done(0);
    const std::jthread other([&] { done.acquire(); });
    rows("two threads");
    done.release();
}

} // namespace bench

#endif
