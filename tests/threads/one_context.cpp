// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <optional>
#include <thread>

namespace one_context_tests {

namespace {

using namespace threads;

// A context that four threads run.
class thread_pool {
public:
    auto get_executor() { return pool_.get_executor(); }
    void join() { pool_.join(); }

private:
    asio::thread_pool pool_{4};
};

class io_context {
public:
    io_context()
    {
        for (auto& each : threads_)
            each = std::jthread([this] { context_.run(); });
    }
    auto get_executor() { return context_.get_executor(); }
    void join()
    {
        work_.reset();
        for (auto& each : threads_)
            each.join();
    }

private:
    asio::io_context context_{4};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::jthread threads_[4];
};

// It goes on from thread to thread, and never ends by itself.
struct restless_connector {
    using connection_type = int;

    asio::awaitable<int> connect(asio::any_io_executor) const
    {
        for (;;)
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    }
    bool is_clean(int) const noexcept { return true; }
    bool probe(int) const noexcept { return true; }
};

// It waits for another thread of its context.
struct waiting_connector {
    using connection_type = int;

    asio::awaitable<int> connect(asio::any_io_executor executor) const
    {
        const auto end = std::chrono::steady_clock::now() + 5ms;
        while (std::chrono::steady_clock::now() < end) // the deadline comes meanwhile
            asio::post(executor, asio::use_future([] {})).get();
        co_return 1;
    }
    bool is_clean(int) const noexcept { return true; }
    bool probe(int) const noexcept { return true; }
};

constexpr unsigned users = 8;
constexpr unsigned rounds = 250;

} // namespace

TEST_CASE_TEMPLATE("a pool on a context that several threads run accounts for every lease", Context,
                   thread_pool, io_context)
{
    using pool_type = loopsafe::connection_pool<scripted_connector>;
    Context context;
    const auto script = std::make_shared<connect_script>();
    pool_type pool(context.get_executor(), scripted_connector(script),
                   {.max_size = 3, .max_waiting = 5, .connect_timeout = 2ms, .probe_after = 0ms});
    lost_property<pool_type::lease_type> lost;
    ledger seen;
    seen.present = users;
    for (unsigned who = 1; who <= users; ++who) {
        asio::co_spawn(
            asio::make_strand(context.get_executor()),
            [&, who]() -> asio::awaitable<void> {
                co_await use(pool, lost, seen, who, rounds);
                co_await pool.async_close(10min, asio::use_awaitable);
            },
            [&](const std::exception_ptr& error) {
                seen.unexpected += error == nullptr ? 0 : 1;
                --seen.present;
            });
    }
    dice choice(0);
    while (seen.present != 0) {
        meddle(pool, lost, *script, choice);
        std::this_thread::yield();
    }
    context.join();
    pool.close();
    nothing_is_left(pool, *script, seen);
    const auto end = pool.stats();
    CHECK(end.acquired == seen.given);
    CHECK(end.connects == static_cast<std::uint64_t>(script->opened));
    CHECK(end.closed() == end.connects);
}

TEST_CASE("close() from main ends the waiting of every thread")
{
    using pool_type = loopsafe::connection_pool<scripted_connector>;
    constexpr int turns = 60;
    for (int turn = 0; turn != turns; ++turn) {
        io_context context;
        const auto script = std::make_shared<connect_script>();
        pool_type pool(context.get_executor(), scripted_connector(script),
                       {.max_size = 1, .acquire_timeout = loopsafe::never});
        ledger seen;
        seen.present = users;
        for (unsigned who = 0; who != users; ++who) {
            asio::co_spawn(
                asio::make_strand(context.get_executor()),
                [&]() -> asio::awaitable<void> {
                    for (;;) {
                        auto lease = co_await pool.acquire();
                        ++seen.given;
                        co_await yield(2);
                    }
                },
                [&](const std::exception_ptr& error) {
                    try {
                        std::rethrow_exception(error);
                    } catch (const loopsafe::pool_error& e) {
                        seen.count(e.code());
                    }
                    --seen.present;
                });
        }
        while (seen.given < users) // everybody had a turn, since nobody overtakes
            std::this_thread::yield();
        pool.close();
        context.join();
        CHECK(seen.present == 0);
        CHECK(seen.refused == users);
        CHECK(pool.stats().acquired == seen.given);
        CHECK(script->opened == script->closed);
    }
}

TEST_CASE("the deadline of a connect takes no thread from a connect that waits for it")
{
    asio::thread_pool context(2);
    loopsafe::connection_pool<waiting_connector> pool(context.get_executor(), {},
                                                      {.max_size = 1, .connect_timeout = 1ms});
    for (int round = 0; round != 20; ++round) {
        asio::co_spawn(
            context.get_executor(),
            [&]() -> asio::awaitable<void> { (co_await pool.acquire()).discard(); },
            asio::use_future)
            .wait();
    }
    context.join();
    CHECK(pool.stats().connecting == 0);
}

TEST_CASE("the deadline of a connect comes on one thread while it steps on another")
{
    thread_pool context; // and no strand around the users
    loopsafe::connection_pool<restless_connector> pool(context.get_executor(), {},
                                                       {.max_size = 4, .connect_timeout = 1ms});
    std::atomic<unsigned> late{0};
    for (unsigned who = 0; who != users; ++who) {
        asio::co_spawn(
            context.get_executor(),
            [&]() -> asio::awaitable<void> {
                for (int round = 0; round != 50; ++round) {
                    try {
                        co_await pool.acquire();
                    } catch (const loopsafe::pool_error& e) {
                        late += e.code() == loopsafe::errc::connect_timeout ? 1 : 0;
                    }
                }
            },
            asio::detached);
    }
    context.join();
    CHECK(late == users * 50);
    CHECK(pool.stats().connect_failures == users * 50);
    CHECK(pool.stats().connecting == 0);
}

} // namespace one_context_tests
