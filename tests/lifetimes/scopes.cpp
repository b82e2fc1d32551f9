// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/scopes.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <string>
#include <support/spies.hpp>
#include <utility>
#include <vector>

namespace scopes_lifetime_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::task_scope;

asio::awaitable<void> leaf(const frame_local& seen, int turns)
{
    const looker at_the_end{seen};
    for (int i = 0; i != turns; ++i)
        co_await asio::post(asio::use_awaitable);
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             turns % 2 == 0 ? asio::steady_timer::time_point::min()
                                            : asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

// Scopes in scopes, of every kind.
asio::awaitable<void> tree(int depth, int& alive, int seed)
{
    const frame_local mine(alive);
    const looker at_the_end{mine};
    if (depth == 0)
        co_return co_await leaf(mine, seed % 4);
    switch (seed % 4) {
    case 0: {
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            const frame_local inner(alive);
            for (int i = 0; i != 3; ++i) {
                const auto one = [&, i]() -> asio::awaitable<void> {
                    const looker at_its_end{mine};
                    co_await tree(depth - 1, alive, seed * 3 + i);
                };
                co_await tasks.start_when_free(one);
            }
            co_await leaf(inner, 3);
        };
        co_await loopsafe::with_tasks(body, {.max_running = 2});
        break;
    }
    case 1:
        co_await loopsafe::all(tree(depth - 1, alive, seed * 3), leaf(mine, 1),
                               tree(depth - 1, alive, seed * 3 + 1));
        break;
    case 2:
        co_await loopsafe::race(tree(depth - 1, alive, seed * 3), leaf(mine, 3),
                                tree(depth - 1, alive, seed * 3 + 2));
        break;
    default:
        co_await loopsafe::first_success(tree(depth - 1, alive, seed * 3), leaf(mine, 1),
                                         tree(depth - 1, alive, seed * 3 + 1));
    }
}

template <class Executor>
void kill_after_each_handler(const Executor& make_executor)
{
    for (int seed = 0; seed != 4; ++seed) {
        for (int steps = 0; steps < 120; ++steps) {
            int alive = 0;
            bool ended = false;
            {
                asio::io_context context(1);
                asio::co_spawn(make_executor(context), tree(3, alive, seed),
                               [&](const std::exception_ptr&) { ended = true; });
                for (int i = 0; i != steps && context.poll_one() != 0; ++i) {}
            }
            CHECK(alive == 0);
            if (ended)
                break;
        }
    }
}

TEST_CASE("scopes: whenever the context dies, tasks die before what they refer to")
{
    kill_after_each_handler([](asio::io_context& c) { return c.get_executor(); });
    kill_after_each_handler([](asio::io_context& c) { return asio::make_strand(c); });
}

TEST_CASE("scopes: cancelled at every point they end, and nothing is left")
{
    for (int seed = 0; seed != 4; ++seed) {
        for (int steps = 0; steps < 120; ++steps) {
            int alive = 0;
            bool ended = false;
            asio::io_context context(1);
            asio::cancellation_signal signal;
            asio::co_spawn(context, tree(3, alive, seed),
                           asio::bind_cancellation_slot(
                               signal.slot(), [&](const std::exception_ptr&) { ended = true; }));
            for (int i = 0; i != steps && context.poll_one() != 0; ++i) {}
            const bool was_over = ended;
            signal.emit(asio::cancellation_type::terminal);
            context.restart();
            context.poll();
            CHECK(ended);
            CHECK(alive == 0);
            if (was_over)
                break;
        }
    }
}

TEST_CASE("scopes: ten thousand tasks")
{
    asio::io_context context(1);
    int done = 0;
    const auto main = [&]() -> asio::awaitable<void> {
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            for (int i = 0; i != 10'000; ++i) {
                tasks.start([&]() -> asio::awaitable<void> {
                    co_await asio::post(asio::use_awaitable);
                    ++done;
                });
            }
            co_return;
        };
        co_await loopsafe::with_tasks(body);
        const auto cancelled = [&](task_scope& tasks) -> asio::awaitable<void> {
            for (int i = 0; i != 10'000; ++i) {
                tasks.start([]() -> asio::awaitable<void> {
                    asio::steady_timer timer(co_await asio::this_coro::executor,
                                             asio::steady_timer::time_point::max());
                    co_await timer.async_wait(asio::use_awaitable);
                });
            }
            co_await asio::post(asio::use_awaitable);
            tasks.cancel();
        };
        co_await loopsafe::with_tasks(cancelled);
    };
    bool ended = false;
    asio::co_spawn(context, main(), [&](const std::exception_ptr& e) { ended = e == nullptr; });
    context.run();
    CHECK(done == 10'000);
    CHECK(ended);
}

} // namespace

} // namespace scopes_lifetime_tests
