// SPDX-License-Identifier: BSL-1.0
// Scopes, with(), with_deadline(): instructions beside what Asio has for the same.
#include "measure.hpp"
#include "stepping.hpp"

#include <loopsafe/context_bound.hpp>
#include <loopsafe/scopes.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <thread>

namespace {

using namespace bench;
using namespace std::chrono_literals;
namespace operators = asio::experimental::awaitable_operators;
using loopsafe::task_scope;

// As short as an operation is that waits.
asio::awaitable<int> operation()
{
    co_await asio::post(asio::deferred);
    co_return 1;
}

asio::awaitable<void> task()
{
    co_await asio::post(asio::deferred);
}

struct resource {
    asio::awaitable<void> async_close(std::chrono::milliseconds)
    {
        co_await asio::post(asio::deferred);
    }
    void close() {}
};

asio::awaitable<void> spawned(int times)
{
    const auto executor = co_await asio::this_coro::executor;
    for (; times != 0; --times)
        co_await asio::co_spawn(executor, operation(), asio::use_awaitable);
}

asio::awaitable<void> with_a_deadline(int times)
{
    for (; times != 0; --times)
        co_await loopsafe::with_deadline(1h, operation());
}

asio::awaitable<void> body_then_close(int times)
{
    const auto executor = co_await asio::this_coro::executor;
    resource r;
    for (; times != 0; --times) {
        co_await operation();
        co_await asio::co_spawn(executor, r.async_close(1s), asio::use_awaitable);
    }
}

asio::awaitable<void> with_a_resource(int times)
{
    resource r;
    const auto body = [](resource&) { return operation(); };
    for (; times != 0; --times)
        co_await loopsafe::with(r, body);
}

asio::awaitable<void> both(int times)
{
    using namespace operators;
    for (; times != 0; --times)
        co_await (operation() && operation());
}
asio::awaitable<void> all_two(int times)
{
    for (; times != 0; --times)
        co_await loopsafe::all(operation(), operation());
}
asio::awaitable<void> four(int times)
{
    using namespace operators;
    for (; times != 0; --times)
        co_await (operation() && operation() && operation() && operation());
}
asio::awaitable<void> all_four(int times)
{
    for (; times != 0; --times)
        co_await loopsafe::all(operation(), operation(), operation(), operation());
}

// A hundred tasks at a time.
asio::awaitable<void> bare_tasks(int times)
{
    const auto executor = co_await asio::this_coro::executor;
    for (; times != 0; --times) {
        int left = 100;
        for (int i = 0; i != 100; ++i)
            asio::co_spawn(executor, task(), [&](const std::exception_ptr&) { --left; });
        while (left != 0)
            co_await asio::post(asio::deferred);
    }
}
asio::awaitable<void> tasks_in_a_scope(int times)
{
    const auto body = [](task_scope& tasks) -> asio::awaitable<void> {
        for (int i = 0; i != 100; ++i)
            tasks.start(task);
        co_return;
    };
    for (; times != 0; --times)
        co_await loopsafe::with_tasks(body);
}

// In a coroutine that can be cancelled, as those of run() can.
void run_cancellable(asio::io_context& context, asio::awaitable<void> coroutine)
{
    asio::cancellation_signal signal;
    asio::co_spawn(context, std::move(coroutine),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    context.restart();
    context.run();
}

// A direct call, where the caller is at home.
int called()
{
    return 1;
}
asio::awaitable<void> at_home(int times)
{
    static const loopsafe::context_ref* home = nullptr;
    const auto here = co_await loopsafe::this_context();
    home = &here;
    struct resident_here {
        loopsafe::context_ref home() const { return *at; }
        const loopsafe::context_ref* at;
    };
    const resident_here resource{home};
    for (; times != 0; --times)
        co_await loopsafe::on_home(resource, called);
}

// Of one call more, without what the coroutine around them costs.
double instructions(asio::awaitable<void> (*loop)(int), int calls)
{
    const auto of = [=](int times) {
        return static_cast<double>(count(event::instructions, [=] {
            asio::io_context context(1);
            const asio::steady_timer as_in_a_program(context);
            run_cancellable(context, loop(10));
            mark();
            run_cancellable(context, loop(times));
            mark();
        }));
    };
    return (of(2 * calls) - of(calls)) / calls;
}

double system_calls(asio::awaitable<void> (*loop)(int), int calls)
{
    return static_cast<double>(count(event::system_calls, [=] {
        asio::io_context context(1);
        const asio::steady_timer as_in_a_program(context);
        run_cancellable(context, loop(10));
        mark();
        run_cancellable(context, loop(calls));
        mark();
    }));
}

// To a context that another thread runs, and back: bare posts, and what is safe.
template <class Go>
double time_hops(int times, Go go)
{
    asio::io_context there(1);
    const asio::steady_timer as_in_a_program(there);
    const auto work = asio::make_work_guard(there);
    const loopsafe::context_bound<int> lives_there(there, 1);
    std::thread runs_it([&] { there.run(); });
    asio::io_context here(1);
    const asio::steady_timer here_too(here);
    const double taken = nanoseconds([&] { run(here, go(there.get_executor(), times)); });
    there.stop();
    runs_it.join();
    return taken;
}

void hop_row()
{
    const auto bare = [](int calls) {
        return time_hops(calls, [](auto there, int times) -> asio::awaitable<void> {
            const auto here = co_await asio::this_coro::executor;
            for (; times != 0; --times) {
                co_await asio::post(asio::bind_executor(there, asio::use_awaitable));
                co_await asio::post(asio::bind_executor(here, asio::use_awaitable));
            }
        });
    };
    const auto safe = [](int calls) {
        return time_hops(calls, [](auto there, int times) -> asio::awaitable<void> {
            for (; times != 0; --times)
                co_await loopsafe::hop_to(there, called);
        });
    };
    const auto best = least(2'000, 10, bare, safe);
    row("hop_to and back, beside a post and a post back", best[1], "ns", best[0], 1.3);
}

} // namespace

int main()
{
    row("a task of 100, from start to end", instructions(tasks_in_a_scope, 2) / 100, "instructions",
        instructions(bare_tasks, 2) / 100, 1.35);
    row("all of 2, beside a && b", instructions(all_two, 20), "instructions",
        instructions(both, 20), 1.1);
    row("all of 4, beside three &&", instructions(all_four, 20), "instructions",
        instructions(four, 20), 0.8);
    const double spawn = instructions(spawned, 20);
    row("with_deadline, beside co_await co_spawn", instructions(with_a_deadline, 20),
        "instructions", spawn, 1.15);
    row("system calls of 100 with_deadline, beside those of co_await co_spawn",
        system_calls(with_a_deadline, 100) - system_calls(spawned, 100), "calls", 0, 2.0);
    row("on_home, at home", instructions(at_home, 20), "instructions", 0, 350.0);
    hop_row();
    const double by_hand = instructions(body_then_close, 20);
    row("with, above a body and a co_await co_spawn", instructions(with_a_resource, 20) - by_hand,
        "instructions", 0, 300.0);
}
