// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/offloaded_connection_pool.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/system_executor.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <semaphore>
#include <support/scripted.hpp>
#include <thread>

namespace offloaded_connection_pool_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::error_code;
using loopsafe::on_cancel;
using loopsafe::thread_offload;

using pool_type = loopsafe::connection_pool<scripted_connector, keep_alive, thread_offload>;
using lease_type = pool_type::lease_type;
using connection = lease_type::connection_type;

struct world {
    explicit world(const pool_type::options& limits = {})
        : pool((manual_clock::reset(), scripted_connector(script)), limits, &workers)
    {
    }

    lease_type acquire() { return run_on(*context, pool.acquire()); }
    attempt<lease_type> start() { return {*context, pool.acquire()}; }

    std::shared_ptr<connect_script> script = std::make_shared<connect_script>();
    loopsafe::worker_threads workers;
    loopsafe::testing::mortal_context context;
    pool_type pool;
};

// A function that holds its connection until the test lets it go on.
struct holding {
    std::binary_semaphore entered{0};
    std::binary_semaphore open{0};

    void operator()(connection&)
    {
        entered.release();
        open.acquire();
    }
};

asio::awaitable<void> forever(connection& c)
{
    asio::steady_timer timer(c.get_executor(), asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

error_code code_of(const std::exception_ptr& error)
{
    try {
        if (error != nullptr)
            std::rethrow_exception(error);
    } catch (const system_error& e) {
        return e.code();
    }
    return {};
}

TEST_CASE("a lease runs functions on a worker, which get the connection and give what they give")
{
    world w;
    auto lease = w.acquire();
    const auto here = std::this_thread::get_id();
    CHECK(run_on(*w.context, lease.run([](connection& c) { return c->number(); })) == 1);
    CHECK(run_on(*w.context, lease.run([](connection&) { return std::this_thread::get_id(); })) !=
          here);
    CHECK(thrown_by<std::runtime_error>([&] {
              run_on(*w.context,
                     lease.run([](connection&) { throw std::runtime_error("no such table"); }));
          }).what() == std::string("no such table"));
    lease.release();
    CHECK(w.pool.stats().idle == 1);
    CHECK(w.workers.stats().completed == 4); // with the connect
}

TEST_CASE("a function waits for an operation of its connection, no longer than it says")
{
    world w;
    auto lease = w.acquire();
    const auto in_time = run_on(*w.context, lease.run([](connection& c) {
        return c.wait([](connection& own) -> asio::awaitable<int> {
            co_await asio::post(own.get_executor(), asio::use_awaitable);
            co_return 7;
        }(c));
    }));
    CHECK(in_time == 7);
    CHECK(thrown_by<system_error>([&] {
              run_on(*w.context, lease.run([](connection& c) { c.wait(forever(c), 1ms); }));
          }).code() == asio::error::timed_out);
    CHECK(run_on(*w.context, lease.run([](connection& c) { return c->number(); })) == 1);
}

TEST_CASE("wait() in an operation that wait() runs is refused, and the connection goes on working")
{
    world w;
    auto lease = w.acquire();
    const auto nested = [](connection& c) {
        return c.wait([](connection& own) -> asio::awaitable<error_code> {
            try {
                own.wait(forever(own));
            } catch (const system_error& refused) {
                co_return refused.code();
            }
            co_return error_code();
        }(c));
    };
    CHECK(run_on(*w.context, lease.run(nested)) == loopsafe::errc::nested_run);
    CHECK(run_on(*w.context, lease.run(nested)) == loopsafe::errc::nested_run);
}

TEST_CASE("a function waits to the end, also where the operation stops the context that it runs on")
{
    world w;
    auto lease = w.acquire();
    const auto stop = [](connection& own) -> asio::awaitable<int> {
        const auto executor = own.get_executor();
        static_cast<asio::io_context&>(asio::query(executor, asio::execution::context)).stop();
        co_await asio::post(executor, asio::use_awaitable);
        co_return 7;
    };
    const auto wait = [&stop](connection& c) { return c.wait(stop(c)); };
    CHECK(run_on(*w.context, lease.run(wait)) == 7);
}

TEST_CASE("a function waits to the end, also where another handler throws")
{
    world w;
    auto lease = w.acquire();
    bool ended = false;
    const auto function = [&](connection& c) {
        const auto local = std::make_unique<std::string>("of the function");
        const auto operation = [&](const std::string& of_it) -> asio::awaitable<void> {
            asio::post(c.get_executor(), [] { throw std::runtime_error("another handler"); });
            try {
                co_await forever(c);
            } catch (const system_error&) { // it is cancelled
            }
            ended = of_it == "of the function";
        };
        c.wait(operation(*local));
    };
    CHECK_THROWS_WITH_AS(run_on(*w.context, lease.run(function)), "another handler",
                         std::runtime_error);
    CHECK(ended);
    CHECK(run_on(*w.context, lease.run([](connection& c) {
              return c.wait([](connection& own) -> asio::awaitable<int> {
                  co_await asio::post(own.get_executor(), asio::use_awaitable);
                  co_return 7;
              }(c));
          })) == 7);
}

TEST_CASE("a function may wait for as long as the type of a limit allows")
{
    world w;
    auto lease = w.acquire();
    for (const auto limit :
         {std::chrono::milliseconds(std::chrono::hours(24 * 365 * 300)), loopsafe::never - 1ms}) {
        const auto in_time = run_on(*w.context, lease.run([limit](connection& c) {
            const auto posts = [](connection& own) -> asio::awaitable<int> {
                for (int i = 0; i != 3; ++i)
                    co_await asio::post(own.get_executor(), asio::use_awaitable);
                co_return 7;
            };
            return c.wait(posts(c), limit);
        }));
        CHECK(in_time == 7);
    }
}

TEST_CASE("a lease whose call waits for a thread is in use")
{
    loopsafe::worker_threads one({.max_threads = 1});
    const auto script = std::make_shared<connect_script>();
    asio::io_context context;
    pool_type pool(scripted_connector(script), {}, &one);
    auto lease = run_on(context, pool.acquire());
    holding hold;
    asio::co_spawn(context,
                   loopsafe::offload({.workers = &one},
                                     [&hold] {
                                         hold.entered.release();
                                         hold.open.acquire();
                                     }),
                   asio::detached);
    run_ready(context);
    hold.entered.acquire();
    const auto number = [](connection& c) { return c->number(); };
    asio::cancellation_signal signal;
    std::exception_ptr ended;
    asio::co_spawn(
        context, lease.run(number),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e, int) { ended = e; }));
    run_ready(context);
    CHECK(thrown_by<system_error>([&] { run_on(context, lease.run(number)); }).code() ==
          errc::busy);
    do_on(context, [&] { signal.emit(asio::cancellation_type::terminal); });
    run_until(context, [&] { return ended != nullptr; });
    hold.open.release();
    CHECK(run_on(context, lease.run(number)) == 1);
}

TEST_CASE("cancelling a call cancels what its function waits for")
{
    for (const auto mode : {on_cancel::wait, on_cancel::abandon}) {
        world w;
        auto lease = w.acquire();
        std::binary_semaphore entered{0};
        std::atomic<bool> aborted = false;
        asio::cancellation_signal signal;
        std::exception_ptr ended;
        const auto function = [&](connection& c) {
            entered.release();
            try {
                c.wait(forever(c));
            } catch (const system_error& e) {
                aborted = e.code() == asio::error::operation_aborted;
                throw;
            }
        };
        asio::co_spawn(
            *w.context, lease.run(function, mode),
            asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { ended = e; }));
        run_ready(*w.context);
        entered.acquire();
        do_on(*w.context, [&] { signal.emit(asio::cancellation_type::terminal); });
        run_until(*w.context, [&] { return ended != nullptr; });
        CHECK(code_of(ended) == asio::error::operation_aborted);
        CHECK(w.workers.join(loopsafe::never));
        CHECK(aborted);
    }
}

TEST_CASE("a caller who dies leaves its connection to the function, and it counts until the end")
{
    world w({.max_size = 1});
    holding hold;
    {
        auto lease = std::make_shared<lease_type>(w.acquire());
        asio::co_spawn(
            *w.context,
            [](std::shared_ptr<lease_type> l, holding& h) -> asio::awaitable<void> {
                co_await l->run(std::ref(h));
            }(lease, hold),
            asio::detached);
    }
    run_ready(*w.context);
    hold.entered.acquire();
    w.context.reborn();
    CHECK(w.pool.stats().leased == 1);
    CHECK(w.script->open() == 1);
    auto next = w.start();
    run_until(*w.context, [&] { return w.pool.stats().waiting == 1; });
    hold.open.release();
    CHECK(next.lease());
    CHECK(w.script->opened == 2);
    CHECK(w.script->closed == 1);
    CHECK(w.pool.stats().closed(close_reason::discarded) == 1);
}

TEST_CASE("a lease with an abandoned call refuses the next, until the function has ended")
{
    world w;
    auto lease = w.acquire();
    holding hold;
    asio::cancellation_signal signal;
    std::exception_ptr ended;
    asio::co_spawn(
        *w.context, lease.run(std::ref(hold), on_cancel::abandon),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { ended = e; }));
    run_ready(*w.context);
    hold.entered.acquire();
    do_on(*w.context, [&] { signal.emit(asio::cancellation_type::terminal); });
    CHECK(code_of(ended) == asio::error::operation_aborted);
    const auto number = [](connection& c) { return c->number(); };
    CHECK(thrown_by<system_error>([&] { run_on(*w.context, lease.run(number)); }).code() ==
          errc::busy);
    hold.open.release();
    CHECK(w.workers.join(loopsafe::never));
    lease.release();
    CHECK(w.pool.stats().idle == 1);
}

TEST_CASE("an empty lease says so")
{
    world w;
    auto lease = w.acquire();
    lease.release();
    CHECK_FALSE(lease);
    CHECK(thrown_by<system_error>([&] {
              run_on(*w.context, lease.run([](connection&) {}));
          }).code() == errc::lease_expired);
}

TEST_CASE("a waiting caller whose context dies leaves the queue to those behind it")
{
    world w({.max_size = 1});
    auto lease = w.acquire();
    std::optional<asio::io_context> dying(std::in_place);
    int first = 0;
    const auto wait = [&]() -> asio::awaitable<void> {
        auto l = co_await w.pool.acquire();
        ++first;
    };
    asio::co_spawn(*dying, wait, asio::detached);
    dying->poll();
    REQUIRE(w.pool.stats().waiting == 1);
    auto second = w.start();
    run_until(*w.context, [&] { return w.pool.stats().waiting == 2; });
    SUBCASE("before anything is granted")
    {
        dying.reset();
        lease.release();
    }
    SUBCASE("with a grant that it has not seen")
    {
        lease.release();
        dying.reset();
    }
    CHECK(second.lease());
    CHECK(first == 0);
    CHECK(w.pool.stats().leased == 1);
}

TEST_CASE("leases outlive their pool, and say so when the worker threads are gone")
{
    std::optional<loopsafe::worker_threads> workers(std::in_place);
    const auto script = std::make_shared<connect_script>();
    std::optional<pool_type> pool(std::in_place, scripted_connector(script), pool_type::options(),
                                  &*workers);
    asio::io_context context;
    auto lease = run_on(context, pool->acquire());
    const auto number = [](connection& c) { return c->number(); };
    pool.reset();
    CHECK(run_on(context, lease.run(number)) == 1);
    workers.reset();
    CHECK(thrown_by<loopsafe::offload_error>([&] { run_on(context, lease.run(number)); }).code() ==
          errc::workers_closed);
    lease.release();
    CHECK(script->open() == 0);
}

TEST_CASE("drain tells a coroutine who still holds a lease")
{
    world w;
    auto lease = w.acquire();
    const auto error =
        thrown_by<loopsafe::pool_error>([&] { run_on(*w.context, w.pool.drain(0ms)); });
    CHECK(error.code() == errc::close_timeout);
    CHECK(error.report().holders.size() == 1);
    CHECK(error.report().operation == "drain");
    lease.release();
    run_on(*w.context, w.pool.drain(loopsafe::never));
    CHECK(w.script->open() == 0);
}

TEST_CASE("async_close waits for the last lease, and async_acquire completes for every token")
{
    world w;
    lease_type lease;
    w.pool.async_acquire(asio::bind_executor(*w.context, [&](error_code ec, lease_type l) {
        CHECK_FALSE(ec);
        lease = std::move(l);
    }));
    run_until(*w.context, [&] { return static_cast<bool>(lease); });
    bool closed = false;
    w.pool.async_close(loopsafe::never, asio::bind_executor(*w.context, [&](error_code ec) {
                           CHECK_FALSE(ec);
                           closed = true;
                       }));
    run_ready(*w.context);
    CHECK_FALSE(closed);
    lease.release();
    run_until(*w.context, [&] { return closed; });
    CHECK(w.script->open() == 0);
    std::exception_ptr refused;
    error_code code;
    w.pool.async_acquire(w.context->get_executor(),
                         [&](error_code ec, const lease_type&) { code = ec; }, {.error = &refused});
    run_until(*w.context, [&] { return code.failed(); });
    CHECK(code == errc::pool_closed);
    CHECK(
        text_of<loopsafe::pool_error>(refused).starts_with("connection pool: the pool is closed"));
}

TEST_CASE("worker threads that are closed refuse the connect, and no place is lost")
{
    world w({.max_size = 1});
    w.workers.close();
    CHECK(w.start().code() == errc::workers_closed);
    CHECK(w.start().code() == errc::workers_closed);
    CHECK(w.pool.stats().connecting == 0);
}

TEST_CASE("a connect that takes too long is told so at its deadline, and is stopped")
{
    world w({.max_size = 1, .connect_timeout = 3s});
    w.script->plan({outcome::never});
    auto first = w.start();
    run_ready(*w.context);
    while (w.script->attempts == 0)
        std::this_thread::yield();
    manual_clock::advance(*w.context, 3s);
    CHECK(first.code() == errc::connect_timeout);
    CHECK(w.acquire());
    CHECK(w.workers.join(loopsafe::never));
}

} // namespace

} // namespace offloaded_connection_pool_tests
