// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/scopes.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace remote_tasks_tests {

namespace {

namespace asio = boost::asio;
using loopsafe::remote_task_scope;
using loopsafe::task_scope;

struct books {
    std::atomic<int> made{0};
    std::atomic<int> gone{0};
    std::atomic<int> posted{0};
    std::atomic<int> started{0};
    std::atomic<int> refused{0};
    std::atomic<int> begun{0};
    std::atomic<int> other{0};
};

// In the function of a task, wherever that ends.
struct mark {
    explicit mark(books& all) : in(&all) { ++in->made; }
    mark(const mark& other) : in(other.in) { ++in->made; }
    mark& operator=(const mark&) = delete;
    ~mark() { ++in->gone; }
    books* in;
};

struct task {
    asio::awaitable<void> operator()() const
    {
        ++here.in->begun;
        co_await asio::post(asio::use_awaitable);
    }
    mark here;
};

constexpr int rounds = 400, senders = 2;

enum class ending { scope, context };

// Whether it was taken.
bool send_one(const remote_task_scope& to, books& all, bool waits_for_answer)
{
    const task one{mark(all)};
    if (!waits_for_answer) {
        const bool there = to.post(one);
        ++(there ? all.posted : all.refused);
        return there;
    }
    bool there = false;
    asio::io_context here(1);
    asio::co_spawn(here, to.start(one), [&](const std::exception_ptr& error, bool started) {
        there = started;
        ++(error != nullptr ? all.other : started ? all.started : all.refused);
    });
    here.run();
    return there;
}

// Two threads send tasks to a scope that a third runs, until it, or its context, is gone; not more
// than it gets through with.
void send(const remote_task_scope& to, books& all, bool waits_for_answer,
          const std::atomic<bool>& gone)
{
    int left = 20;
    while (left != 0 && send_one(to, all, waits_for_answer))
        --left;
    while (!gone)
        std::this_thread::yield();
    CHECK_FALSE(send_one(to, all, waits_for_answer));
}

void race(ending how, books& all)
{
    std::barrier meet(1 + senders);
    std::optional<remote_task_scope> remote;
    std::atomic<bool> gone{false};
    std::vector<std::thread> threads;
    for (int number = 0; number != senders; ++number) {
        threads.emplace_back([&, number] {
            for (int round = 0; round != rounds; ++round) {
                meet.arrive_and_wait(); // the scope is there
                send(*remote, all, number % 2 != 0, gone);
                meet.arrive_and_wait(); // it is gone for all
            }
        });
    }
    for (int round = 0; round != rounds; ++round) {
        auto home = std::make_unique<asio::io_context>(1);
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            remote = tasks.remote();
            asio::steady_timer over(co_await asio::this_coro::executor,
                                    asio::steady_timer::time_point::max());
            co_await over.async_wait(asio::use_awaitable);
        };
        const auto main = [&]() -> asio::awaitable<void> {
            const auto turns = [&](task_scope& tasks) -> asio::awaitable<void> {
                remote = tasks.remote();
                for (int turn = 0; turn != 1 + round % 5; ++turn)
                    co_await asio::post(asio::use_awaitable);
                tasks.cancel();
            };
            if (how == ending::scope)
                co_await loopsafe::with_tasks(turns);
            else
                co_await loopsafe::with_tasks(body);
        };
        asio::co_spawn(*home, main(), asio::detached);
        home->poll_one();
        home->poll_one();
        REQUIRE(remote);
        meet.arrive_and_wait();
        if (how == ending::scope) {
            home->restart();
            home->run();
        }
        for (int step = 0; step != round % 7; ++step) {
            home->restart();
            home->poll_one();
        }
        home.reset();
        gone = true;
        meet.arrive_and_wait();
        gone = false;
        remote.reset();
    }
    for (auto& each : threads)
        each.join();
}

TEST_CASE("scopes: tasks from two other threads, until the scope or its context is gone")
{
    for (const auto how : {ending::scope, ending::context}) {
        CAPTURE(static_cast<int>(how));
        books all;
        race(how, all);
        CHECK(all.refused >= rounds * senders);
        CHECK(all.made == all.gone);
        CHECK(all.begun <= all.posted + all.started);
        CHECK(all.started <= all.begun);
        CHECK(all.other == 0);
    }
}

} // namespace

} // namespace remote_tasks_tests
