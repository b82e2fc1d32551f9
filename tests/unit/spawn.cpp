// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/run/spawn.hpp>
#include <loopsafe/runner.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/system_executor.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <new>
#include <support/ends_others.hpp>
#include <support/run_until.hpp>
#include <support/spies.hpp>
#include <support/texts.hpp>
#include <utility>

namespace spawn_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::spawn;

asio::awaitable<void> for_ever()
{
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> fail(std::string what)
{
    throw std::runtime_error(what);
    co_return;
}

// Notes how it ends, and takes a step after it was cancelled.
asio::awaitable<void> careful(names& log)
{
    try {
        co_await for_ever();
        log.push_back("ended");
    } catch (const system_error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
        log.push_back("cancelled");
    }
    co_await asio::this_coro::reset_cancellation_state();
    co_await asio::post(asio::use_awaitable);
    log.push_back("tidied up");
}

TEST_CASE("at the end of run stragglers are cancelled and awaited")
{
    names log;
    loopsafe::run([&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        spawn(executor, careful(log));
        spawn(executor, for_ever());
        co_await asio::post(asio::use_awaitable);
        CHECK(log.empty());
    });
    CHECK(log == names{"cancelled", "tidied up"});
}

TEST_CASE("stragglers are awaited and their errors kept, also where a handler stops the context")
{
    names log;
    const auto main = [&](bool fails) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        auto& context = static_cast<asio::io_context&>(executor.context());
        asio::post(executor, [&context] { context.stop(); });
        spawn(executor, careful(log));
        if (fails)
            spawn(executor, fail("a task"));
    };
    loopsafe::run([&] { return main(false); });
    CHECK(log == names{"cancelled", "tidied up"});
    CHECK_THROWS_WITH_AS(loopsafe::run([&] { return main(true); }), "a task", std::runtime_error);

    log.clear();
    loopsafe::runner loop;
    loop.run([&] { return main(false); });
    loop.close();
    CHECK(log == names{"cancelled", "tidied up"});
}

TEST_CASE("what is spawned while run ends is destroyed before it begins")
{
    int begun = 0;
    const std::function<asio::awaitable<void>()> replaces_itself = [&]() -> asio::awaitable<void> {
        ++begun;
        const auto executor = co_await asio::this_coro::executor;
        try {
            co_await for_ever();
        } catch (const system_error&) {
            spawn(executor, replaces_itself());
        }
    };
    const auto main = [&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        spawn(executor, replaces_itself());
        co_await asio::post(asio::use_awaitable);
        asio::post(executor, [&, executor] { spawn(executor, replaces_itself()); });
    };
    loopsafe::run(main);
    CHECK(begun == 1);

    loopsafe::runner again;
    for (int calls = 2; calls != 4; ++calls) {
        again.run(main);
        again.close();
        CHECK(begun == calls);
    }
}

TEST_CASE("the first error of a task is rethrown by run, after main ended well")
{
    const auto main = []() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        spawn(executor, fail("first"));
        spawn(executor, fail("second"));
        co_return;
    };
    CHECK_THROWS_WITH_AS(loopsafe::run(main), "first", std::runtime_error);
}

TEST_CASE("what main throws comes before the errors of tasks, which are cancelled all the same")
{
    names log;
    const auto main = [&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        spawn(executor, fail("from a task"));
        spawn(executor, careful(log));
        co_await asio::post(asio::use_awaitable);
        throw std::runtime_error("from main");
    };
    CHECK_THROWS_WITH_AS(loopsafe::run(main), "from main", std::runtime_error);
    CHECK(log == names{"cancelled", "tidied up"});
}

TEST_CASE("a task that is cancelled before it began is awaited, too")
{
    loopsafe::run([]() -> asio::awaitable<void> {
        spawn(co_await asio::this_coro::executor, for_ever());
        co_return;
    });
}

TEST_CASE("a task that is cancelled before it began is no error")
{
    bool begun = false;
    const auto task = [&]() -> asio::awaitable<void> {
        begun = true;
        co_await for_ever();
    };
    loopsafe::runner loop;
    spawn(loop.get_executor(), task());
    loop.close();
    CHECK_FALSE(begun);
    spawn(loop.get_executor(), task());
    loop.run([]() -> asio::awaitable<void> { co_await asio::post(asio::use_awaitable); });
    loop.close();
    CHECK(begun);
}

TEST_CASE("a task may end others while it is being cancelled")
{
    ends_others ends(5);
    loopsafe::run([&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        for (std::size_t i = 0; i != ends.size(); ++i)
            spawn(executor, ends.wait(i));
    });
    CHECK(ends.ended() == ends.size());
}

TEST_CASE("a task may end before it notices that it is cancelled")
{
    loopsafe::runner r;
    const auto step = []() -> asio::awaitable<void> { co_await asio::post(asio::use_awaitable); };
    r.run([&]() -> asio::awaitable<void> {
        spawn(co_await asio::this_coro::executor, step());
        co_return;
    });
    r.close();
    r.run(step);
}

TEST_CASE("a task that fails while it is cancelled is not silenced")
{
    const auto main = []() -> asio::awaitable<void> {
        const auto task = []() -> asio::awaitable<void> {
            bool cancelled = false;
            try {
                co_await for_ever();
            } catch (const system_error&) {
                cancelled = true;
            }
            if (cancelled)
                throw std::runtime_error("while tidying up");
        };
        spawn(co_await asio::this_coro::executor, task());
        co_await asio::post(asio::use_awaitable);
    };
    CHECK_THROWS_WITH_AS(loopsafe::run(main), "while tidying up", std::runtime_error);
}

TEST_CASE("a cancellation that the task brought upon itself is an error like any other")
{
    loopsafe::runner r;
    const auto main = []() -> asio::awaitable<void> {
        const auto task = []() -> asio::awaitable<void> {
            throw system_error(asio::error::operation_aborted, "by itself");
            co_return;
        };
        spawn(co_await asio::this_coro::executor, task());
        co_await asio::post(asio::use_awaitable);
        co_await asio::post(asio::use_awaitable);
    };
    r.run(main);
    CHECK(thrown_by<system_error>([&] { r.close(); }).code() == asio::error::operation_aborted);
}

TEST_CASE("tasks of a runner go on from call to call, until it is closed")
{
    names log;
    loopsafe::runner r;
    r.run([&]() -> asio::awaitable<void> {
        spawn(co_await asio::this_coro::executor, careful(log));
        co_await asio::post(asio::use_awaitable);
    });
    r.run([]() -> asio::awaitable<void> { co_await asio::post(asio::use_awaitable); });
    CHECK(log.empty());
    r.close();
    CHECK(log == names{"cancelled", "tidied up"});
    r.close();
    CHECK(log.size() == 2);
}

TEST_CASE("close of a runner rethrows the first error of its tasks, once")
{
    loopsafe::runner r;
    r.run([]() -> asio::awaitable<void> {
        spawn(co_await asio::this_coro::executor, fail("first"));
        co_return;
    });
    CHECK_THROWS_WITH_AS(r.close(), "first", std::runtime_error);
    r.close();
}

TEST_CASE("the end of a runner waits for its tasks, also where another handler throws")
{
    for (const bool closes : {true, false}) {
        names log;
        {
            loopsafe::runner r;
            r.run([&]() -> asio::awaitable<void> {
                spawn(co_await asio::this_coro::executor, careful(log));
                co_await asio::post(asio::use_awaitable);
            });
            for (int i = 0; i != 2; ++i)
                asio::post(r.get_executor(), [] { throw std::runtime_error("another handler"); });
            if (closes) {
                CHECK_THROWS_WITH_AS(r.close(), "another handler", std::runtime_error);
                CHECK(log == names{"cancelled", "tidied up"});
            }
        }
        CHECK(log == names{"cancelled", "tidied up"});
    }
}

TEST_CASE("the destructor of a runner ends its tasks and drops their errors")
{
    names log;
    {
        loopsafe::runner r;
        r.run([&]() -> asio::awaitable<void> {
            const auto executor = co_await asio::this_coro::executor;
            spawn(executor, careful(log));
            spawn(executor, fail("unheard"));
            co_await asio::post(asio::use_awaitable);
        });
    }
    CHECK(log == names{"cancelled", "tidied up"});
}

TEST_CASE("a task cannot be spawned without a context")
{
    const auto used = next_line();
    const auto start = [] { spawn(asio::system_executor(), for_ever()); };
    const auto error = thrown_by<loopsafe::context_error>(start);
    CHECK(error.code() == loopsafe::errc::no_context);
    CHECK(text_of(error).find("used:  in at " + used) != std::string::npos);
}

TEST_CASE("tasks on a context that nobody runs any more are destroyed with it")
{
    names dead;
    {
        asio::io_context context;
        spawn(context.get_executor(),
              [](tattler) -> asio::awaitable<void> { co_await for_ever(); }(tattler(dead, "task")));
        run_ready(context);
        CHECK(dead.empty());
    }
    CHECK(dead == names{"task"});
}

// Other work of a context, which would keep it going for long.
asio::awaitable<void> go_on(bool& ended)
{
    for (int i = 0; i < 1000; ++i)
        co_await asio::post(asio::use_awaitable);
    ended = true;
}

TEST_CASE("a task that is destroyed without having ended is not awaited any more")
{
    names dead;
    bool other_ended = false;
    loopsafe::runner r;
    keeper k;
    r.run([&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        spawn(executor, [](keeper& where, tattler) -> asio::awaitable<void> {
            co_await where.wait();
        }(k, tattler(dead, "task")));
        co_await asio::post(asio::use_awaitable);
        k.let_go();
        asio::co_spawn(executor, go_on(other_ended), asio::detached);
    });
    r.close();
    CHECK(dead == names{"task"});
    CHECK_FALSE(other_ended);
}

TEST_CASE("a task may wait for what its context destroys last")
{
    names dead;
    {
        asio::io_context context;
        const auto executor = context.get_executor();
        spawn(executor, [](keeper& where, tattler) -> asio::awaitable<void> {
            co_await where.wait();
        }(loopsafe::context_local<keeper>::in(executor), tattler(dead, "task")));
        run_ready(context);
    }
    CHECK(dead == names{"task"});
}

// An executor that has no memory for the next thing it is given.
template <class Executor>
struct short_of_memory {
    Executor inner;
    std::shared_ptr<bool> fails;

    template <class Property>
        requires asio::can_query<const Executor&, Property>::value
    decltype(auto) query(const Property& property) const
    {
        return asio::query(inner, property);
    }

    template <class Property>
        requires asio::can_require<const Executor&, Property>::value
    auto require(const Property& property) const
    {
        return short_of_memory<std::decay_t<decltype(asio::require(inner, property))>>{
            asio::require(inner, property), fails};
    }

    template <class F>
    void execute(F&& f) const
    {
        if (std::exchange(*fails, false))
            throw std::bad_alloc();
        inner.execute(std::forward<F>(f));
    }

    friend bool operator==(const short_of_memory&, const short_of_memory&) noexcept = default;
};

TEST_CASE("a task that could not be started is not awaited, either")
{
    names dead;
    bool other_ended = false;
    loopsafe::runner r;
    r.run([&]() -> asio::awaitable<void> {
        auto& context =
            static_cast<asio::io_context&>(asio::query(r.get_executor(), asio::execution::context));
        const short_of_memory<asio::io_context::executor_type> executor{
            context.get_executor(), std::make_shared<bool>(true)};
        const auto task = [](tattler) -> asio::awaitable<void> { co_return; };
        CHECK_THROWS_AS(spawn(executor, task(tattler(dead, "task"))), std::bad_alloc);
        CHECK_FALSE(*executor.fails);
        asio::co_spawn(r.get_executor(), go_on(other_ended), asio::detached);
        co_return;
    });
    r.close();
    CHECK(dead == names{"task"});
    CHECK_FALSE(other_ended);
}

} // namespace

} // namespace spawn_tests
