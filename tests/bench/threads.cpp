// SPDX-License-Identifier: BSL-1.0
// An acquire and release where several threads run: a context for each, or one that all share. The
// time is that of all threads together, divided by what all of them did. Only such rounds count in
// which the threads really had two processors.
#include "idle_connector.hpp"
#include "measure.hpp"

#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <barrier>
#include <memory>
#include <mutex>
#include <sys/resource.h>
#include <thread>

namespace {

using namespace bench;

// A round takes some 20 ms: it is a while until the threads have a processor each.
constexpr int calls_apart = 400'000;
constexpr int calls_together = 100'000;

// What one writes by hand: a mutex, and a vector of connections. It neither waits nor connects.
class vector_pool {
public:
    explicit vector_pool(std::size_t size) : connections_(size)
    {
        for (auto& each : connections_)
            each = std::make_unique<idle_connection>();
    }

    class lease {
    public:
        lease(vector_pool& from, std::unique_ptr<idle_connection> what)
            : from_(&from), what_(std::move(what))
        {
        }
        lease(lease&&) = default;
        ~lease()
        {
            if (what_ == nullptr)
                return;
            const std::lock_guard lock(from_->mutex_);
            from_->connections_.push_back(std::move(what_));
        }

    private:
        vector_pool* from_;
        std::unique_ptr<idle_connection> what_;
    };

    asio::awaitable<lease> acquire()
    {
        const std::lock_guard lock(mutex_);
        auto what = std::move(connections_.back());
        connections_.pop_back();
        co_return lease(*this, std::move(what));
    }

private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<idle_connection>> connections_;
};

struct round {
    double nanoseconds; // of an acquire and release
    double processors;
};

double processor_seconds()
{
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Begins when each of the threads has a coroutine.
class race {
public:
    race(int threads, int calls) : threads_(threads), calls_(calls), together_(threads, begin{this})
    {
    }

    template <class Pool>
    asio::awaitable<void> run(Pool& pool)
    {
        together_.arrive_and_wait();
        for (int i = 0; i != calls_; ++i) {
            auto lease = co_await pool.acquire();
            keep(lease);
        }
    }

    round end() const
    {
        const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began_;
        return {wall.count() * 1e9 / calls_ / threads_,
                (processor_seconds() - used_before_) / wall.count()};
    }

private:
    struct begin {
        race* of;
        void operator()() noexcept
        {
            of->used_before_ = processor_seconds();
            of->began_ = std::chrono::steady_clock::now();
        }
    };

    int threads_;
    int calls_;
    std::barrier<begin> together_;
    std::chrono::steady_clock::time_point began_;
    double used_before_ = 0;
};

template <class Pool>
asio::awaitable<void> hold_all(Pool& pool, int left)
{
    auto lease = co_await pool.acquire();
    if (left > 1)
        co_await hold_all(pool, left - 1);
}

using shared_pool = loopsafe::connection_pool<idle_connector>;

shared_pool make_pool(asio::any_io_executor home)
{
    return shared_pool(home, idle_connector{}, timeless());
}

template <class Pool, class Home, class Strand>
round share(int threads, Pool& pool, Home& home, Strand strand)
{
    race all(threads, calls_together);
    for (int i = 0; i != threads; ++i)
        asio::co_spawn(strand(home), all.run(pool), asio::detached);
    if constexpr (std::is_same_v<Home, asio::thread_pool>) {
        home.join();
    } else {
        home.restart();
        std::vector<std::jthread> others;
        for (int i = 0; i != threads; ++i)
            others.emplace_back([&] { home.run(); });
    }
    return all.end();
}

auto own_strand = [](asio::io_context& home) { return asio::make_strand(home); };
auto no_strand = [](asio::thread_pool& home) { return home.get_executor(); };

round on_strands(int threads)
{
    asio::io_context home(threads);
    auto pool = make_pool(home.get_executor());
    run(home, hold_all(pool, threads));
    return share(threads, pool, home, own_strand);
}

round vector_on_strands(int threads)
{
    asio::io_context home(threads);
    vector_pool pool(8);
    return share(threads, pool, home, own_strand);
}

round on_thread_pool(int threads)
{
    asio::thread_pool home(static_cast<std::size_t>(threads));
    auto pool = make_pool(home.get_executor());
    asio::co_spawn(home, hold_all(pool, threads), asio::use_future).get();
    return share(threads, pool, home, no_strand);
}

round vector_on_thread_pool(int threads)
{
    asio::thread_pool home(static_cast<std::size_t>(threads));
    vector_pool pool(8);
    return share(threads, pool, home, no_strand);
}

// A context for each thread; `pool(i)` is the pool of that thread.
template <class Pool>
round parted(int threads, Pool pool, std::vector<std::unique_ptr<asio::io_context>>& homes)
{
    for (int i = 0; i != threads; ++i)
        run(*homes[static_cast<std::size_t>(i)], hold_all(pool(i), 1));
    race all(threads, calls_apart);
    {
        std::vector<std::jthread> others;
        for (int i = 0; i != threads; ++i) {
            others.emplace_back(
                [&, i] { run(*homes[static_cast<std::size_t>(i)], all.run(pool(i))); });
        }
    }
    return all.end();
}

std::vector<std::unique_ptr<asio::io_context>> contexts(int threads)
{
    std::vector<std::unique_ptr<asio::io_context>> made;
    for (int i = 0; i != threads; ++i)
        made.push_back(std::make_unique<asio::io_context>(1));
    return made;
}

struct carried_connector : idle_connector {
    using handle_type = idle_connection;

    std::optional<idle_connection> detach(idle_connection& c) const noexcept { return c; }
    idle_connection attach(idle_connection&& c, const asio::any_io_executor&) const { return c; }
};

template <class Policy, class Connector = idle_connector>
round one_pool(int threads)
{
    auto homes = contexts(threads);
    loopsafe::connection_pool<Connector, Policy> pool(Connector{},
                                                      timeless<typename Policy::options>());
    return parted(threads, [&](int) -> auto& { return pool; }, homes);
}

round pool_each(int threads)
{
    auto homes = contexts(threads);
    std::vector<shared_pool> pools;
    for (auto& each : homes)
        pools.push_back(make_pool(each->get_executor()));
    return parted(
        threads, [&](int i) -> auto& { return pools[static_cast<std::size_t>(i)]; }, homes);
}

using way = round (*)(int);

// Two ways take turns. The ratio is that of the pairs.
void compare(const std::string& name, way subject, int threads, way beside, int beside_threads,
             std::optional<limit> wanted, bool throughput = false)
{
    constexpr int turns = 24;
    std::vector<double> values;
    std::vector<double> baselines;
    std::vector<double> ratios;
    for (int i = 0; i != turns; ++i) {
        const bool first = i % 2 == 0;
        const round before = first ? subject(threads) : round{};
        const round baseline = beside(beside_threads);
        const round value = first ? before : subject(threads);
        if (value.processors < 1.7 || baseline.processors < 1.7)
            continue;
        values.push_back(value.nanoseconds);
        baselines.push_back(baseline.nanoseconds);
        ratios.push_back(throughput ? baseline.nanoseconds / value.nanoseconds
                                    : value.nanoseconds / baseline.nanoseconds);
    }
    row(name + ": pairs of rounds that had 1.7 processors", static_cast<double>(ratios.size()),
        "pairs", turns);
    if (!ratios.empty())
        row(name, median(values), "ns", median(baselines), median(ratios), wanted);
}

} // namespace

int main()
{
    using carried = loopsafe::carry_over_pool;
    const limit parted_limit{1.3};
    compare("2 threads, a context each: per_context_pool, and a pool each",
            one_pool<loopsafe::per_context_pool>, 2, pool_each, 2, parted_limit);
    compare("2 threads, a context each: carry_over_pool, and a pool each",
            one_pool<carried, carried_connector>, 2, pool_each, 2, parted_limit);
    const limit by_hand{1.5};
    compare("2 threads, one context, strands: keep_alive_pool, and a mutex with a vector",
            on_strands, 2, vector_on_strands, 2, by_hand);
    compare("2 threads, a thread_pool: keep_alive_pool, and a mutex with a vector", on_thread_pool,
            2, vector_on_thread_pool, 2, by_hand);
    const limit kept{0.7, true};
    for (const int threads : {4, 8}) {
        const auto name = std::to_string(threads) + " threads: what 2 get, ";
        compare(name + "keep_alive_pool on strands", on_strands, threads, on_strands, 2, kept,
                true);
        compare(name + "keep_alive_pool on a thread_pool", on_thread_pool, threads, on_thread_pool,
                2, kept, true);
        compare(name + "per_context_pool", one_pool<loopsafe::per_context_pool>, threads,
                one_pool<loopsafe::per_context_pool>, 2, kept, true);
    }
}
