// SPDX-License-Identifier: BSL-1.0
// Rows 6, 10 and 21: contexts that other threads run, waiters of dead contexts, things that move.

#include <atomic>
#include <exception>
#include <latch>
#include <lifetimes/vocabulary.hpp>
#include <lifetimes/when_dying.hpp>
#include <thread>

namespace threads_tests {

namespace {

using namespace lifetimes;

template <class Pool>
asio::awaitable<void> borrow_often(Pool& pool, int times)
{
    for (int i = 0; i < times; ++i) {
        const auto lease = co_await pool.acquire();
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    }
}

// Two threads run the context to its end; this one looks on.
template <class Pool>
void run_by_two(asio::io_context& context, Pool& pool)
{
    std::latch both(3);
    const auto run = [&] {
        both.arrive_and_wait();
        context.run();
    };
    std::thread first(run);
    std::thread second(run);
    both.arrive_and_wait();
    for (int i = 0; i < 100; ++i) {
        CHECK(pool.stats().leased <= 2);
        CHECK(pool.holders().size() <= 2);
        pool.invalidate();
    }
    first.join();
    second.join();
}

TEST_CASE("a pool serves a context that two threads run (row 6)")
{
    const auto script = std::make_shared<connect_script>();
    asio::io_context context(2);
    strict_pool strict(context, scripted_connector(script), {.max_size = 2});
    fleeting_pool fleeting{scripted_connector(script), {.max_size = 2}};
    for (int i = 0; i < 4; ++i)
        asio::co_spawn(context, borrow_often(strict, 50), asio::detached);
    run_by_two(context, strict);
    CHECK(strict.stats().acquired == 200);
    context.restart();
    for (int i = 0; i < 4; ++i)
        asio::co_spawn(context, borrow_often(fleeting, 20), asio::detached);
    run_by_two(context, fleeting);
    CHECK(fleeting.stats().connects == 80);
    CHECK(strict.stats().leased + fleeting.stats().leased == 0);
}

TEST_CASE("a pool whose home is a thread_pool may be closed by main while it is used (row 6)")
{
    const auto script = std::make_shared<connect_script>();
    asio::thread_pool threads(2);
    strict_pool pool(threads, scripted_connector(script), {.max_size = 2});
    std::atomic<int> refused{0};
    for (int i = 0; i < 4; ++i)
        asio::co_spawn(threads, borrow_often(pool, 1'000'000), [&](const std::exception_ptr& e) {
            refused += failure([&] { std::rethrow_exception(e); }) == errc::pool_closed;
        });
    while (pool.stats().acquired < 100)
        std::this_thread::yield();
    pool.close();
    threads.join();
    CHECK(refused == 4);
    CHECK(script->open() == 0);
    CHECK(pool.stats().leased == 0);
}

TEST_CASE("contexts that run on their own threads share a pool without sharing connections (row 6)")
{
    const auto script = std::make_shared<connect_script>();
    shelves_pool shelves{scripted_connector(script), {.max_size = 1}};
    fleeting_pool fleeting{scripted_connector(script), {.max_size = 1}};
    const auto work = [&] {
        for (int i = 0; i < 5; ++i) {
            asio::io_context context(1);
            asio::co_spawn(context, borrow_often(shelves, 20), asio::detached);
            asio::co_spawn(context, borrow_often(fleeting, 20), asio::detached);
            context.run();
        }
    };
    std::thread first(work);
    std::thread second(work);
    first.join();
    second.join();
    CHECK(shelves.stats().connects == 10);
    CHECK(shelves.stats().reused == 190);
    CHECK(fleeting.stats().connects == 200);
    CHECK(script->open() == 0);
}

TEST_CASE("what comes back is not granted to a waiter whose context is dying (row 10)")
{
    const auto script = std::make_shared<connect_script>();
    fleeting_pool pool{scripted_connector(script), {.max_size = 1}};
    asio::io_context living(1);
    std::optional<asio::io_context> mortal(std::in_place, 1);
    auto lease = run_on(living, pool.acquire());
    told never;
    told served;
    pool.async_acquire(mortal->get_executor(), never.handler());
    mortal->poll();
    pool.async_acquire(living.get_executor(), served.handler());
    run_ready(living);
    REQUIRE(pool.stats().waiting == 2);

    std::size_t waiting_at_death = 0;
    std::size_t waiting_after_return = 0;
    lifetimes::when_dying give_back(*mortal, [&] {
        waiting_at_death = pool.stats().waiting;
        lease.release();
        waiting_after_return = pool.stats().waiting;
    });
    mortal.reset();
    CHECK(waiting_at_death == 1);
    CHECK(waiting_after_return == 0);
    run_ready(living);
    CHECK(never.times == 0);
    CHECK(served.times == 1);
    CHECK(served.code == error_code());
}

TEST_CASE("the completion of an acquire dies with its context and loses no connection (row 10)")
{
    const auto script = std::make_shared<connect_script>();
    shelves_pool pool{scripted_connector(script), {.max_size = 1}};
    std::optional<asio::io_context> context(std::in_place, 1);
    run_on(*context, borrow(pool));
    told posted;
    told queued;
    pool.async_acquire(context->get_executor(), posted.handler());
    pool.async_acquire(context->get_executor(), queued.handler());
    REQUIRE(pool.stats().leased == 1);
    context.reset();
    CHECK(posted.times + queued.times == 0);
    CHECK(script->open() == 0);
    CHECK(pool.stats().leased + pool.stats().connecting + pool.stats().waiting == 0);
    asio::io_context next;
    run_on(next, borrow(pool));
    CHECK(pool.stats().connects == 2);
}

TEST_CASE("contexts die while other threads hand connections on (row 10)")
{
    const auto script = std::make_shared<connect_script>();
    fleeting_pool pool{scripted_connector(script), {.max_size = 1}};
    std::thread lasting([&] {
        asio::io_context context(1);
        asio::co_spawn(context, borrow_often(pool, 400), asio::detached);
        context.run();
    });
    const auto die = [&] {
        for (int i = 0; i < 200; ++i) {
            asio::io_context context(1);
            for (int k = 0; k < 3; ++k)
                asio::co_spawn(context, borrow_often(pool, 3), asio::detached);
            context.poll();
        }
    };
    std::thread first(die);
    std::thread second(die);
    lasting.join();
    first.join();
    second.join();
    const auto stats = pool.stats();
    CHECK(stats.leased + stats.connecting + stats.waiting == 0);
    CHECK(script->open() == 0);
    asio::io_context context;
    run_on(context, borrow(pool));
}

TEST_CASE("what is move assigned has the home of its source (row 21)")
{
    tcp_peer server;
    two_contexts contexts;
    const auto connected = [&](asio::io_context& context) {
        tcp::socket socket(context);
        socket.connect(server.endpoint());
        return loopsafe::tcp_stream(std::move(socket));
    };
    auto stream = connected(contexts.a);
    auto peer_of_a = server.accept();
    auto source = connected(contexts.b);
    auto peer_of_b = server.accept();
    stream = std::move(source);
    CHECK(stream.home() == context_of(contexts.b));
    CHECK(read(peer_of_a, 1).empty());

    const auto write = [&]() -> asio::awaitable<error_code> {
        const auto [ec, n] = co_await asio::async_write(stream, asio::buffer("b", 1), as_tuple);
        co_return ec;
    };
    CHECK(run_on(contexts.a, write()) == errc::wrong_context);
    CHECK(run_on(contexts.b, write()) == error_code());
    CHECK(read(peer_of_b, 1) == "b");

    context_bound<asio::steady_timer> timer(contexts.a, contexts.a);
    timer = context_bound<asio::steady_timer>(contexts.b, contexts.b);
    CHECK(timer.home() == context_of(contexts.b));
    CHECK(failure([&] { timer.get(contexts.a.get_executor()); }) == errc::wrong_context);
}

TEST_CASE("a lease that ends with the connection of another context does not give it back (row 21)")
{
    tcp_peer server;
    asio::io_context context(1);
    std::optional<asio::io_context> other(std::in_place, 1);
    tcp_pool pool(context, loopsafe::tcp_connector(server.endpoint()));
    auto lease = run_on(context, pool.acquire());
    tcp::socket socket(*other);
    socket.connect(server.endpoint());
    *lease = loopsafe::tcp_stream(std::move(socket));
    lease.release();
    CHECK(pool.stats().idle == 0);
    other.reset();
    pool.close();
}

// One lease is given back on a thread, while this one discards another and a third one runs the
// context that both live on.
void end_leases_off_their_context(bool thawed)
{
    const auto script = std::make_shared<connect_script>();
    asio::io_context context(1);
    strict_pool pool(context, scripted_connector(script), {.max_size = 2});
    auto kept = run_on(context, pool.acquire());
    auto discarded = run_on(context, pool.acquire());
    if (thawed)
        pool.thaw();
    context.restart();
    auto work = asio::make_work_guard(context);
    std::thread runs([&] { context.run(); });
    std::thread ends([lease = std::move(kept)]() mutable { lease.release(); });
    discarded.discard();
    ends.join();
    auto borrowed = asio::co_spawn(context, borrow(pool), asio::use_future);
    borrowed.get();
    work.reset();
    runs.join();
    CHECK(pool.stats().reused == 1);
    CHECK(script->open() == 1);
}

TEST_CASE("a lease may end on a thread that does not run its context (row 21)")
{
    end_leases_off_their_context(false);
}

TEST_CASE("a lease of before a thaw may end on a thread that does not run its context (row 21)")
{
    end_leases_off_their_context(true);
}

} // namespace

} // namespace threads_tests
