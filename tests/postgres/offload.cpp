// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <loopsafe/offloaded_connection_pool.hpp>
#include <loopsafe/runner.hpp>

#include <memory>

namespace offload_tests {

namespace {

using namespace std::chrono_literals;
using loopsafe::thread_offload;

using pool_type =
    loopsafe::connection_pool<pg::connector, loopsafe::keep_alive_pool, thread_offload>;
using connection = pool_type::lease_type::connection_type;

int answer(connection& c)
{
    return c.wait(c->query("select $1::int + 1", 41))[0][0].as<int>();
}

void sleep_long(connection& c)
{
    c.wait(c->query("select pg_sleep(60)"));
}

loopsafe::error_code code_of(const std::exception_ptr& error)
{
    REQUIRE(error != nullptr);
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
        return e.code();
    }
}

// A lease whose call is in the middle of a query that sleeps.
struct sleeper {
    explicit sleeper(pool_type& pool)
    {
        asio::co_spawn(
            *context,
            [](pool_type& p, int& backend) -> asio::awaitable<void> {
                auto lease = co_await p.acquire();
                backend = co_await lease.run([](connection& c) { return c->backend_pid(); });
                co_await lease.run(sleep_long);
            }(pool, pid),
            asio::bind_cancellation_slot(signal.slot(),
                                         [this](std::exception_ptr e) { ended = e; }));
        while (pid == 0)
            context->run_one();
        context->poll();
        wait_until_asleep(pid);
    }

    int pid = 0;
    asio::cancellation_signal signal;
    std::exception_ptr ended;
    std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>();
};

TEST_SUITE_BEGIN("offload");

TEST_CASE("one session serves one context after another")
{
    pool_type pool{pg::connector(server())};
    for (int i = 0; i != 3; ++i) {
        const int seen = loopsafe::run([&]() -> asio::awaitable<int> {
            auto lease = co_await pool.acquire();
            co_return co_await lease.run(answer);
        });
        CHECK(seen == 42);
    }
    CHECK(pool.stats().connects == 1);
    CHECK(pool.stats().reused == 2);
}

TEST_CASE("a function may run a transaction")
{
    pool_type pool{pg::connector(server())};
    const int seen = loopsafe::run([&]() -> asio::awaitable<int> {
        auto lease = co_await pool.acquire();
        co_return co_await lease.run([](connection& c) {
            return c.wait(c->transaction([](pg::connection& own) -> asio::awaitable<int> {
                co_await own.execute("create temporary table t as select 6 as x");
                const auto rows = co_await own.query("select x * 7 from t");
                co_return rows[0][0].as<int>();
            }));
        });
    });
    CHECK(seen == 42);
}

TEST_CASE("a cancelled call cancels its query on the server, and the session goes on")
{
    loopsafe::worker_threads workers;
    for (auto* const threads : {&workers, static_cast<loopsafe::worker_threads*>(nullptr)}) {
        pool_type pool(pg::connector(server(), {.reuse_after_error = true}), {}, threads);
        asio::io_context context;
        auto lease = run_on(context, [&] { return pool.acquire(); });
        const auto backend = [](connection& c) { return c->backend_pid(); };
        const int pid = run_on(context, [&] { return lease.run(backend); });
        asio::cancellation_signal signal;
        std::exception_ptr ended;
        asio::co_spawn(
            context, lease.run(sleep_long),
            asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { ended = e; }));
        context.restart();
        context.poll();
        wait_until_asleep(pid);
        signal.emit(asio::cancellation_type::terminal);
        context.run();
        CHECK(code_of(ended) == asio::error::operation_aborted);
        CHECK(activity(pid) == "idle");
        CHECK(run_on(context, [&] { return lease.run(answer); }) == 42);
        lease.release();
        CHECK(pool.stats().idle == 1);
    }
    CHECK(workers.join(loopsafe::never));
}

TEST_CASE("a caller that is cancelled in mid-query closes its session")
{
    pool_type pool{pg::connector(server(), {.reuse_after_error = true})};
    sleeper s(pool);
    s.signal.emit(asio::cancellation_type::terminal);
    s.context->run();
    CHECK(code_of(s.ended) == asio::error::operation_aborted);
    CHECK(activity(s.pid) != "active");
    CHECK(pool.stats().idle == 0);
}

TEST_CASE("a query that takes longer than its function allows is cancelled on the server")
{
    pool_type pool{pg::connector(server(), {.reuse_after_error = true})};
    asio::io_context context;
    auto lease = run_on(context, [&] { return pool.acquire(); });
    const auto impatient = [](connection& c) { c.wait(c->query("select pg_sleep(60)"), 20ms); };
    std::exception_ptr ended;
    try {
        run_on(context, [&] { return lease.run(impatient); });
    } catch (...) {
        ended = std::current_exception();
    }
    CHECK(code_of(ended) == asio::error::timed_out);
    CHECK(run_on(context, [&] { return lease.run(answer); }) == 42);
}

TEST_CASE("a context that dies in mid-query takes nothing along but its caller")
{
    pool_type pool(pg::connector(server()), {.max_size = 1});
    sleeper s(pool);
    s.context.reset();
    asio::io_context next;
    auto lease = run_on(next, [&] { return pool.acquire(); }); // once the function has ended
    CHECK(run_on(next, [&] { return lease.run(answer); }) == 42);
    CHECK(activity(s.pid) == "gone");
    CHECK(pool.stats().connects == 2);
}

TEST_CASE("a session that was killed is replaced, and the caller of the lost one is told")
{
    pool_type pool{pg::connector(server())};
    sleeper s(pool);
    run([&]() -> asio::awaitable<void> {
        auto other = co_await connect();
        co_await other.query("select pg_terminate_backend($1)", s.pid);
    });
    s.context->run();
    CHECK(code_of(s.ended) == pg::condition::connection_exception);
    asio::io_context next;
    auto lease = run_on(next, [&] { return pool.acquire(); });
    CHECK(run_on(next, [&] { return lease.run(answer); }) == 42);
}

TEST_SUITE_END();

} // namespace

} // namespace offload_tests
