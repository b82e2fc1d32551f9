// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/runner.hpp>
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <future>
#include <memory>
#include <optional>
#include <pthread.h>
#include <semaphore>
#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <thread>
#include <vector>

namespace offload_tests {

namespace {

using namespace support;
using loopsafe::errc;
using loopsafe::offload;
using loopsafe::offload_error;
using loopsafe::worker_threads;

// A function that blocks until the test lets it go on.
struct gate {
    void operator()()
    {
        entered.release();
        open.acquire();
    }

    std::counting_semaphore<> entered{0};
    std::counting_semaphore<> open{0};
};

asio::awaitable<void> pass(worker_threads& workers, gate& g, int& passed)
{
    co_await offload({.workers = &workers}, std::ref(g));
    ++passed;
}

asio::awaitable<void> call(worker_threads& workers, std::exception_ptr& error, int& passed)
{
    try {
        co_await offload({.workers = &workers}, [] {});
        ++passed;
    } catch (...) {
        error = std::current_exception();
    }
}

std::string told(const std::exception_ptr& error)
{
    return text_of<offload_error>(error);
}

int twice(int x)
{
    return 2 * x;
}

struct counts {
    int add(int n) { return total += n; }
    int total = 0;
};

TEST_CASE("offload gives what the function gives, from another thread")
{
    loopsafe::run([]() -> asio::awaitable<void> {
        const auto here = std::this_thread::get_id();
        const auto there = co_await offload([] { return std::this_thread::get_id(); });
        CHECK(here != there);
        CHECK(here == std::this_thread::get_id());
        CHECK(co_await offload(twice, 21) == 42);
        CHECK(co_await offload(&counts::add, counts{1}, 2) == 3);
        co_await offload([] {});
        const auto moved = co_await offload([] { return std::make_unique<int>(7); });
        CHECK(*moved == 7);
    });
}

TEST_CASE("what the function throws reaches the caller")
{
    loopsafe::run([]() -> asio::awaitable<void> {
        std::string said;
        try {
            co_await offload([]() -> int { throw std::runtime_error("disk on fire"); });
        } catch (const std::runtime_error& e) {
            said = e.what();
        }
        CHECK(said == "disk on fire");
    });
}

TEST_CASE("arguments are copied or moved, and references are passed where the caller says so")
{
    loopsafe::run([]() -> asio::awaitable<void> {
        std::string text = "kept";
        const auto size = co_await offload([](std::string s) { return (s += "!").size(); }, text);
        CHECK(size == 5);
        CHECK(text == "kept");
        auto owned = std::make_unique<int>(3);
        CHECK(co_await offload([](std::unique_ptr<int> p) { return *p; }, std::move(owned)) == 3);
        CHECK(owned == nullptr);
        counts referred;
        co_await offload([](counts& c) { c.add(5); }, std::ref(referred));
        CHECK(referred.total == 5);
        const std::string_view view = text;
        const auto length =
            co_await offload([](std::string_view v) { return v.size(); }, loopsafe::borrowed(view));
        CHECK(length == 4);
    });
}

TEST_CASE("function and arguments are destroyed on the worker, before the caller goes on")
{
    struct noted {
        explicit noted(std::shared_ptr<std::thread::id> w) : where(std::move(w)) {}
        ~noted()
        {
            if (where != nullptr)
                *where = std::this_thread::get_id();
        }
        noted(noted&&) noexcept = default;
        std::shared_ptr<std::thread::id> where;
    };
    loopsafe::run([]() -> asio::awaitable<void> {
        const auto where = std::make_shared<std::thread::id>();
        noted argument(where);
        const auto worker = co_await offload(
            [](const noted&) { return std::this_thread::get_id(); }, std::move(argument));
        CHECK(*where == worker);
        CHECK(where.use_count() == 1);
    });
}

TEST_CASE("the context goes on while a function blocks")
{
    worker_threads workers;
    asio::io_context context;
    gate g;
    int passed = 0;
    int handlers = 0;
    asio::co_spawn(context, pass(workers, g, passed), asio::detached);
    context.poll();
    g.entered.acquire();
    for (int i = 0; i != 100; ++i)
        asio::post(context, [&] { ++handlers; });
    context.poll();
    CHECK(handlers == 100);
    CHECK(passed == 0);
    g.open.release();
    context.run();
    CHECK(passed == 1);
}

TEST_CASE("as many functions run at once as there may be threads, and the others wait")
{
    worker_threads workers({.max_threads = 2});
    asio::io_context context;
    gate g;
    int passed = 0;
    for (int i = 0; i != 5; ++i)
        asio::co_spawn(context, pass(workers, g, passed), asio::detached);
    context.poll();
    g.entered.acquire();
    g.entered.acquire();
    const auto busy = workers.stats();
    CHECK(busy.threads == 2);
    CHECK(busy.running == 2);
    CHECK(busy.queued == 3);
    CHECK_FALSE(g.entered.try_acquire());
    g.open.release(5);
    context.restart();
    context.run();
    CHECK(passed == 5);
    CHECK(workers.stats().completed == 5);
    CHECK(workers.stats().running == 0);
}

TEST_CASE("one thread serves calls that come one after another")
{
    worker_threads workers;
    loopsafe::run([&]() -> asio::awaitable<void> {
        for (int i = 0; i != 1000; ++i)
            co_await offload({.workers = &workers}, [] {});
    });
    CHECK(workers.stats().threads == 1);
    CHECK(workers.stats().completed == 1000);
}

TEST_CASE("a full queue refuses with its figures, and what was taken before is served")
{
    worker_threads workers({.max_threads = 1, .max_queued = 1, .name = "disk"});
    asio::io_context context;
    gate g;
    int passed = 0;
    std::exception_ptr refused;
    asio::co_spawn(context, pass(workers, g, passed), asio::detached);
    asio::co_spawn(context, pass(workers, g, passed), asio::detached);
    context.poll();
    g.entered.acquire();
    asio::co_spawn(context, call(workers, refused, passed), asio::detached);
    run_ready(context);
    CHECK(
        told(refused) ==
        "worker threads \"disk\": running 1, threads 1, queued 1; raise max_threads or max_queued, "
        "or make fewer calls: too many callers are already waiting [loopsafe:8]");
    CHECK(workers.stats().refused == 1);
    g.open.release(2);
    context.restart();
    context.run();
    CHECK(passed == 2);
}

TEST_CASE("with max_queued 0 a call is taken while a thread is free or may be started")
{
    worker_threads workers({.max_threads = 1, .max_queued = 0});
    loopsafe::run([&]() -> asio::awaitable<void> {
        for (int i = 0; i != 100; ++i)
            co_await offload({.workers = &workers}, [] {});
    });
    CHECK(workers.stats().completed == 100);
}

TEST_CASE("closed worker threads refuse what waits and what comes, and finish what runs")
{
    worker_threads workers({.max_threads = 1});
    asio::io_context context;
    gate g;
    int passed = 0;
    std::exception_ptr waiting;
    std::exception_ptr late;
    asio::co_spawn(context, pass(workers, g, passed), asio::detached);
    context.poll();
    g.entered.acquire();
    asio::co_spawn(context, call(workers, waiting, passed), asio::detached);
    run_ready(context);
    workers.close();
    workers.close();
    run_ready(context);
    CHECK(told(waiting).ends_with("the worker threads are closed [loopsafe:13]"));
    asio::co_spawn(context, call(workers, late, passed), asio::detached);
    run_ready(context);
    CHECK(told(late).ends_with("the worker threads are closed [loopsafe:13]"));
    CHECK(passed == 0);
    g.open.release();
    context.restart();
    context.run();
    CHECK(passed == 1);
    CHECK(workers.join(loopsafe::never));
    CHECK(workers.stats().threads == 0);
    CHECK(workers.stats().refused == 2);
}

TEST_CASE("join waits for functions under way, no longer than it may")
{
    worker_threads workers;
    asio::io_context context;
    gate g;
    int passed = 0;
    asio::co_spawn(context, pass(workers, g, passed), asio::detached);
    context.poll();
    g.entered.acquire();
    for (const auto limit : {0ms, -1ms, std::chrono::milliseconds::min()})
        CHECK_FALSE(workers.join(limit));
    g.open.release();
    CHECK(workers.join(loopsafe::never));
    context.run();
    CHECK(passed == 1);
}

TEST_CASE("join by one of the threads says at once that it cannot wait for itself")
{
    worker_threads workers;
    const auto joined = loopsafe::run([&]() -> asio::awaitable<bool> {
        co_return co_await offload({.workers = &workers},
                                   [&] { return workers.join(loopsafe::never); });
    });
    CHECK_FALSE(joined);
    CHECK(workers.join(loopsafe::never));
}

namespace {

// What a thread keeps until it ends, and takes its time to part with.
struct slow_to_go {
    void part()
    {
        begun.release();
        end.acquire();
    }
    std::binary_semaphore begun{0};
    std::binary_semaphore end{0};
};

template <class Keep>
void check_that_join_waits_for(slow_to_go& kept, Keep keep)
{
    worker_threads workers;
    loopsafe::run([&]() -> asio::awaitable<void> {
        co_await offload({.workers = &workers}, std::move(keep));
    });
    workers.close();
    kept.begun.acquire();
    CHECK_FALSE(workers.join(0ms));
    kept.end.release();
    CHECK(workers.join(loopsafe::never));
}

} // namespace

TEST_CASE("join waits for the threads to the last, also for what is local to them")
{
    struct local {
        ~local() { kept->part(); }
        slow_to_go* kept;
    };
    slow_to_go kept;
    check_that_join_waits_for(kept, [&kept] {
        static thread_local const local of_this_thread{&kept};
        static_cast<void>(of_this_thread);
    });
}

TEST_CASE("join waits for the threads to the last, also for what a C library keeps for them")
{
    slow_to_go kept;
    pthread_key_t key{};
    check_that_join_waits_for(kept, [&] { // on the thread, so that its key is one of the last
        const auto part = [](void* kept_here) { static_cast<slow_to_go*>(kept_here)->part(); };
        if (pthread_key_create(&key, part) != 0)
            throw std::bad_alloc();
        pthread_setspecific(key, &kept);
    });
    pthread_key_delete(key);
}

TEST_CASE("a thread that destroys what nobody takes is not free, and another is started")
{
    struct slow_to_go {
        explicit slow_to_go(gate& g) : held(&g) {}
        slow_to_go(slow_to_go&& other) noexcept : held(std::exchange(other.held, nullptr)) {}
        ~slow_to_go()
        {
            if (held != nullptr)
                (*held)();
        }
        gate* held;
    };
    worker_threads workers({.max_threads = 2});
    gate function;
    gate result;
    {
        asio::io_context context;
        const auto give = [&] {
            function();
            return slow_to_go(result);
        };
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> { co_await offload({.workers = &workers}, give); },
            asio::detached);
        context.poll();
        function.entered.acquire();
    }
    function.open.release();
    result.entered.acquire();
    CHECK(workers.stats().running == 1);
    loopsafe::run(
        [&]() -> asio::awaitable<void> { co_await offload({.workers = &workers}, [] {}); });
    CHECK(workers.stats().threads == 2);
    result.open.release();
    CHECK(workers.join(loopsafe::never));
    CHECK(workers.stats().abandoned == 1);
}

TEST_CASE("worker threads may be destroyed while their functions run and their calls wait")
{
    std::optional<worker_threads> workers(std::in_place,
                                          loopsafe::worker_options{.max_threads = 1});
    asio::io_context context;
    gate g;
    int passed = 0;
    std::exception_ptr waiting;
    asio::co_spawn(context, pass(*workers, g, passed), asio::detached);
    context.poll();
    g.entered.acquire();
    asio::co_spawn(context, call(*workers, waiting, passed), asio::detached);
    run_ready(context);
    workers.reset();
    run_ready(context);
    CHECK(told(waiting).ends_with("the worker threads are closed [loopsafe:13]"));
    g.open.release();
    context.restart();
    context.run();
    CHECK(passed == 1);
}

TEST_CASE("a thread with nothing to do ends after its idle time, and another is started")
{
    worker_threads workers({.idle_timeout = 0ms});
    for (int i = 0; i != 3; ++i) {
        loopsafe::run(
            [&]() -> asio::awaitable<void> { co_await offload({.workers = &workers}, [] {}); });
        while (workers.stats().threads != 0)
            std::this_thread::yield();
    }
    CHECK(workers.stats().completed == 3);
    CHECK(thrown_by<boost::system::system_error>([] {
              worker_threads({.idle_timeout = -1ms});
          }).code() == errc::bad_option);
}

TEST_CASE("without threads the function runs where the call is made")
{
    worker_threads none({.max_threads = 0});
    loopsafe::run([&]() -> asio::awaitable<void> {
        const auto here = std::this_thread::get_id();
        CHECK(co_await offload({.workers = &none}, [] { return std::this_thread::get_id(); }) ==
              here);
        CHECK(co_await offload({.workers = &none},
                               [](std::stop_token t) { return !t.stop_requested(); }));
        bool thrown = false;
        try {
            co_await offload({.workers = &none}, [] { throw 1; });
        } catch (int) {
            thrown = true;
        }
        CHECK(thrown);
    });
    CHECK(none.stats().threads == 0);
    CHECK(none.stats().completed == 3);
    CHECK(none.stats().running == 0);
    none.close();
    int passed = 0;
    std::exception_ptr refused;
    loopsafe::run([&] { return call(none, refused, passed); });
    CHECK(told(refused).ends_with("the worker threads are closed [loopsafe:13]"));
    CHECK(passed == 0);
}

TEST_CASE(
    "a worker that would wait for its own set of threads is refused, and another set serves it")
{
    worker_threads workers({.max_threads = 4});
    worker_threads others({.max_threads = 1});
    const auto nested = [](worker_threads& which) {
        std::exception_ptr error;
        int passed = 0;
        loopsafe::run([&] { return call(which, error, passed); });
        return error == nullptr ? std::string("served") : told(error);
    };
    loopsafe::run([&]() -> asio::awaitable<void> {
        const auto same = co_await offload({.workers = &workers}, nested, std::ref(workers));
        CHECK(same == "worker threads: running 1, threads 1, queued 0; this is one of "
                      "the threads: call the function directly, or give it to worker_threads of "
                      "its own: a worker thread would wait for its own set of threads "
                      "[loopsafe:14]");
        CHECK(co_await offload({.workers = &workers}, nested, std::ref(others)) == "served");
    });
}

TEST_CASE("offload completes for every kind of token, on the token's context")
{
    asio::io_context context;
    const auto answer = [] { return 42; };
    int seen = 0;
    bool on_context = false;
    loopsafe::async_offload(context.get_executor(), answer,
                            [&](const std::exception_ptr& error, int x) {
                                CHECK(error == nullptr);
                                on_context = context.get_executor().running_in_this_thread();
                                seen = x;
                            });
    context.run();
    CHECK(seen == 42);
    CHECK(on_context);

    std::exception_ptr thrown;
    loopsafe::async_offload(
        [] { throw std::runtime_error("no luck"); },
        asio::bind_executor(context, [&](const std::exception_ptr& error) { thrown = error; }));
    context.restart();
    context.run();
    CHECK(text_of(thrown) == "no luck");

    auto future = loopsafe::async_offload(context.get_executor(), answer, asio::use_future);
    context.restart();
    context.run();
    CHECK(future.get() == 42);

    run_on(context, [&]() -> asio::awaitable<void> {
        CHECK(co_await loopsafe::async_offload(answer, asio::use_awaitable) == 42);
        const auto [error, x] =
            co_await loopsafe::async_offload(answer, asio::as_tuple(asio::use_awaitable));
        CHECK(error == nullptr);
        CHECK(x == 42);
    }());
}

TEST_CASE("a signal that outlives the context of a call reaches nobody")
{
    worker_threads workers;
    gate g;
    asio::cancellation_signal signal;
    {
        asio::io_context context;
        loopsafe::async_offload(
            context.get_executor(), std::ref(g),
            asio::bind_cancellation_slot(signal.slot(), [](const std::exception_ptr&) {}),
            {.workers = &workers});
        context.poll();
        g.entered.acquire();
    }
    signal.emit(asio::cancellation_type::terminal);
    g.open.release();
    CHECK(workers.join(loopsafe::never));
    CHECK(workers.stats().abandoned == 1);
}

TEST_CASE("a caller on no context is refused, and the function does not run")
{
    bool ran = false;
    std::promise<std::exception_ptr> refused;
    loopsafe::async_offload(
        asio::any_io_executor(asio::system_executor()), [&] { ran = true; },
        [&](std::exception_ptr error) { refused.set_value(std::move(error)); });
    CHECK(text_of<loopsafe::context_error>(refused.get_future().get())
              .starts_with("offload: the caller names no context"));
    CHECK_FALSE(ran);
}

TEST_CASE("a call that nobody awaits runs nothing, and lets go of function and arguments")
{
    worker_threads workers;
    const auto owned = std::make_shared<int>(1);
    {
        const auto unused =
            offload({.workers = &workers}, [](const std::shared_ptr<int>&) {}, owned);
        CHECK(owned.use_count() == 2);
    }
    CHECK(owned.use_count() == 1);
    CHECK(workers.stats().threads == 0);
}

TEST_CASE("workers leave the signals to the program's own threads, but for those of a fault")
{
    const bool blocked = loopsafe::run([]() -> asio::awaitable<bool> {
        co_return co_await offload([] {
            sigset_t mask;
            return ::pthread_sigmask(SIG_SETMASK, nullptr, &mask) == 0 &&
                   ::sigismember(&mask, SIGTERM) == 1 && ::sigismember(&mask, SIGINT) == 1 &&
                   ::sigismember(&mask, SIGSEGV) == 0;
        });
    });
    CHECK(blocked);
    sigset_t here;
    REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &here) == 0);
    CHECK(::sigismember(&here, SIGTERM) == 0);
}

} // namespace

} // namespace offload_tests
