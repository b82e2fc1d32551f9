// SPDX-License-Identifier: BSL-1.0
// A pool shared by threads: one context with the lock, or the contexts parted. The time of an
// acquire and release is that of all threads together, divided by what all of them did.
#include "idle_connector.hpp"
#include "measure.hpp"

#include <barrier>
#include <memory>
#include <thread>

namespace {

using namespace bench;

template <class Pool>
asio::awaitable<void> acquire_and_release(Pool& pool, int calls)
{
    for (int i = 0; i != calls; ++i) {
        auto lease = co_await pool.acquire();
        keep(lease);
    }
}

constexpr int calls = 20'000;

template <class Start>
double on_threads(int threads, Start start)
{
    using clock = std::chrono::steady_clock;
    clock::time_point begin;
    std::barrier together(threads, [&]() noexcept { begin = clock::now(); });
    std::vector<std::jthread> all;
    for (int i = 0; i != threads; ++i) {
        all.emplace_back([&, i] {
            together.arrive_and_wait();
            start(i);
        });
    }
    all.clear();
    return std::chrono::duration<double, std::nano>(clock::now() - begin).count();
}

// All threads run one context; each has a coroutine of its own there.
double one_context(int threads)
{
    asio::io_context context(threads);
    loopsafe::connection_pool<idle_connector> pool(context, idle_connector{}, timeless());
    for (int i = 0; i != threads; ++i)
        run(context, acquire_and_release(pool, 10));
    for (int i = 0; i != threads; ++i)
        asio::co_spawn(context, acquire_and_release(pool, calls), asio::detached);
    context.restart();
    return on_threads(threads, [&](int) { context.run(); });
}

std::vector<std::unique_ptr<asio::io_context>> contexts(int threads)
{
    std::vector<std::unique_ptr<asio::io_context>> made;
    for (int i = 0; i != threads; ++i)
        made.push_back(std::make_unique<asio::io_context>(1));
    return made;
}

// A context for each thread, and one pool with a shelf for each.
double shelves(int threads)
{
    const auto home = contexts(threads);
    loopsafe::connection_pool<idle_connector, loopsafe::per_context_pool> pool(idle_connector{},
                                                                               timeless());
    for (const auto& context : home)
        run(*context, acquire_and_release(pool, 10));
    return on_threads(threads, [&](int i) {
        run(*home[static_cast<std::size_t>(i)], acquire_and_release(pool, calls));
    });
}

// A context for each thread, and a pool for each that needs no lock.
double pools(int threads)
{
    using unlocked = loopsafe::basic_keep_alive_pool<loopsafe::no_mutex>;
    using pool_type = loopsafe::connection_pool<idle_connector, unlocked>;
    const auto home = contexts(threads);
    std::vector<std::unique_ptr<pool_type>> pool;
    for (const auto& context : home) {
        pool.push_back(std::make_unique<pool_type>(*context, idle_connector{}, timeless()));
        run(*context, acquire_and_release(*pool.back(), 10));
    }
    return on_threads(threads, [&](int i) {
        const auto n = static_cast<std::size_t>(i);
        run(*home[n], acquire_and_release(*pool[n], calls));
    });
}

double best(double (*way)(int), int threads)
{
    double least = std::numeric_limits<double>::max();
    for (int turn = 0; turn != 50; ++turn)
        least = std::min(least, way(threads) / (calls * threads));
    return least;
}

} // namespace

int main()
{
    for (const int threads : {2, 4}) {
        const auto name = [=](const char* way) {
            return std::to_string(threads) + " threads, " + way;
        };
        const double locked = best(one_context, threads);
        row(name("one context, one pool with its lock"), locked, "ns", locked);
        row(name("a context each, one per_context_pool"), best(shelves, threads), "ns", locked);
        row(name("a context each, a pool each without a lock"), best(pools, threads), "ns", locked);
    }
}
