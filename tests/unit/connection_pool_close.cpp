// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/bind_executor.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <support/scripted.hpp>

namespace connection_pool_close_tests {

namespace {

using namespace support;
using loopsafe::error_code;

// An async_close under way.
template <class Pool>
struct closing {
    closing(asio::io_context& on, Pool& pool, std::chrono::milliseconds limit) : context(on)
    {
        pool.async_close(limit, asio::bind_cancellation_slot(
                                    signal->slot(),
                                    asio::bind_executor(context, [r = result, s = signal](
                                                                     error_code ec) { *r = ec; })));
    }

    error_code code()
    {
        run_until(context, [this] { return result->has_value(); });
        return **result;
    }
    bool done() const { return result->has_value(); }

    asio::io_context& context;
    std::shared_ptr<asio::cancellation_signal> signal =
        std::make_shared<asio::cancellation_signal>();
    std::shared_ptr<std::optional<error_code>> result =
        std::make_shared<std::optional<error_code>>();
};

TEST_CASE("close() needs no running context: idle connections are closed when it returns")
{
    scripted f;
    {
        auto a = f.acquire();
        auto b = f.acquire();
    }
    f.context.stop();
    f.pool.close();
    CHECK(f.script->open() == 0);
    CHECK(f.pool.stats().closed(close_reason::pool_closed) == 2);
    f.pool.close();
    CHECK(f.pool.stats().closed() == 2);
}

TEST_CASE("close() refuses every later acquire, and those that wait")
{
    scripted f({.max_size = 1});
    auto lease = f.acquire();
    auto a = f.start_waiting();
    auto b = f.start_waiting();
    f.pool.close();
    CHECK(a.code() == errc::pool_closed);
    CHECK(b.code() == errc::pool_closed);
    CHECK(f.start().code() == errc::pool_closed);
    CHECK(f.pool.stats().waiting == 0);
}

TEST_CASE("close() leaves leases usable, and their connections are closed when they come back")
{
    scripted f;
    auto lease = f.acquire();
    f.pool.close();
    CHECK(number(lease) == 1);
    CHECK(f.script->open() == 1);
    lease.release();
    CHECK(f.script->open() == 0);
    CHECK(f.pool.stats().closed(close_reason::pool_closed) == 1);
}

TEST_CASE("close() lets who is connecting have the connection, which is closed when it comes back")
{
    scripted f;
    auto a = f.start();
    run_until(f.context, [&] { return f.pool.stats().connecting == 1; });
    f.pool.close();
    CHECK(number(a.lease()) == 1);
    a.lease().release();
    CHECK(f.script->open() == 0);
}

TEST_CASE("close() closes the idle connections of every context")
{
    scripted<per_context> f;
    asio::io_context other;
    f.acquire().release();
    run_on(other, f.pool.acquire()).release();
    CHECK(f.script->open() == 2);
    f.pool.close();
    CHECK(f.script->open() == 0);
}

TEST_CASE("a pool that is destroyed closes its connections, leases and waiters outlive it")
{
    manual_clock::reset();
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    std::optional pool(make_pool<scripted_connector, keep_alive>(
        context, scripted_connector(script), {.max_size = 2}));
    auto lease = run_on(context, pool->acquire());
    auto other = run_on(context, pool->acquire());
    attempt waiting(context, pool->acquire());
    run_until(context, [&] { return pool->stats().waiting == 1; });

    pool.reset();
    CHECK(waiting.code() == errc::pool_closed);
    CHECK(number(lease) == 1);
    lease.release();
    CHECK(script->open() == 1);
    other.discard();
    CHECK(script->open() == 0);
}

TEST_CASE("a pool that is destroyed closes its idle connections, without running the context")
{
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    {
        auto pool =
            make_pool<scripted_connector, keep_alive>(context, scripted_connector(script), {});
        run_on(context, pool.acquire()).release();
        CHECK(script->open() == 1);
    }
    CHECK(script->open() == 0);
}

TEST_CASE("a pool may be destroyed while somebody connects")
{
    manual_clock::reset();
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    std::optional pool(
        make_pool<scripted_connector, keep_alive>(context, scripted_connector(script), {}));
    attempt a(context, pool->acquire());
    run_until(context, [&] { return script->attempts == 1; });
    pool.reset();
    CHECK(number(a.lease()) == 1);
    a.lease().release();
    CHECK(script->open() == 0);
}

TEST_CASE("async_close: with nothing out it completes without waiting")
{
    scripted f;
    f.acquire().release();
    CHECK(closing(f.context, f.pool, 0ms).code() == error_code());
    CHECK(f.script->open() == 0);
    CHECK(f.start().code() == errc::pool_closed);
}

TEST_CASE("async_close: drained when the last lease has come back")
{
    scripted f;
    auto a = f.acquire();
    auto b = f.acquire();
    closing drain(f.context, f.pool, 5s);
    run_ready(f.context);
    a.release();
    run_ready(f.context);
    CHECK_FALSE(drain.done());
    b.discard();
    CHECK(drain.code() == error_code());
    CHECK(f.script->open() == 0);
}

TEST_CASE("async_close: waits for whoever still connects")
{
    scripted f;
    f.script->plan({outcome::never});
    auto a = f.start();
    run_until(f.context, [&] { return f.script->attempts == 1; });
    closing drain(f.context, f.pool, 1h);
    run_ready(f.context);
    CHECK_FALSE(drain.done());
    a.cancel();
    CHECK(drain.code() == error_code());
}

TEST_CASE("async_close: timed out while a lease is still out, the pool stays closed")
{
    scripted f;
    auto lease = f.acquire();
    closing drain(f.context, f.pool, 5s);
    run_ready(f.context);
    f.advance(4999ms);
    CHECK_FALSE(drain.done());
    f.advance(1ms);
    CHECK(drain.code() == errc::close_timeout);
    CHECK(f.start().code() == errc::pool_closed);
    CHECK(number(lease) == 1);
    lease.release();
    CHECK(closing(f.context, f.pool, 5s).code() == error_code());
}

TEST_CASE("async_close: cancelled, with each type of cancellation, the pool stays closed")
{
    auto type = asio::cancellation_type::none;
    SUBCASE("terminal")
    {
        type = asio::cancellation_type::terminal;
    }
    SUBCASE("partial")
    {
        type = asio::cancellation_type::partial;
    }
    SUBCASE("total")
    {
        type = asio::cancellation_type::total;
    }
    scripted f;
    auto lease = f.acquire();
    closing drain(f.context, f.pool, 1h);
    run_ready(f.context);
    drain.signal->emit(type);
    CHECK(drain.code() == asio::error::operation_aborted);
    CHECK(f.start().code() == errc::pool_closed);
    lease.release();
    CHECK(f.script->open() == 0);
}

TEST_CASE("async_close: refused from elsewhere, with the error of acquire")
{
    scripted f;
    asio::io_context other;
    auto lease = f.acquire();
    CHECK(closing(other, f.pool, 1h).code() == errc::wrong_context);
    CHECK(f.pool.stats().refused == 1);
    lease.release();
}

TEST_CASE("async_close: one for several contexts waits for the leases of all")
{
    scripted<per_context> f;
    asio::io_context other;
    auto here = f.acquire();
    auto there = run_on(other, f.pool.acquire());
    closing drain(f.context, f.pool, 1h);
    run_ready(f.context);
    here.release();
    run_ready(f.context);
    CHECK_FALSE(drain.done());
    there.release();
    CHECK(drain.code() == error_code());
}

TEST_CASE("async_close: two at once end together")
{
    scripted f;
    auto lease = f.acquire();
    closing one(f.context, f.pool, 1h);
    closing two(f.context, f.pool, loopsafe::never);
    run_ready(f.context);
    lease.release();
    CHECK(one.code() == error_code());
    CHECK(two.code() == error_code());
}

TEST_CASE("async_close: outlives the pool")
{
    manual_clock::reset();
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    std::optional pool(
        make_pool<scripted_connector, keep_alive>(context, scripted_connector(script), {}));
    auto lease = run_on(context, pool->acquire());
    closing drain(context, *pool, 1h);
    run_ready(context);
    pool.reset();
    run_ready(context);
    CHECK_FALSE(drain.done());
    lease.release();
    CHECK(drain.code() == error_code());
}

TEST_CASE("async_close: awaited with the default token it throws")
{
    scripted f;
    auto lease = f.acquire();
    const auto drain = [&]() -> asio::awaitable<void> { co_await f.pool.async_close(0ms); };
    const auto error = thrown_by<boost::system::system_error>([&] { run_on(f.context, drain()); });
    CHECK(error.code() == errc::close_timeout);
}

TEST_CASE("a pool that is moved keeps its leases, its waiters and its connections")
{
    scripted f({.max_size = 1});
    auto lease = f.acquire();
    auto waiting = f.start_waiting();
    auto moved = std::move(f.pool);
    CHECK(moved.stats().leased == 1);
    lease.release();
    CHECK(number(waiting.lease()) == 1);
    waiting.lease().release();
    CHECK(number(run_on(f.context, moved.acquire())) == 1);
}

TEST_CASE("a pool that is assigned away takes the other's place, what was there is closed with it")
{
    manual_clock::reset();
    asio::io_context context;
    const auto old_script = std::make_shared<connect_script>();
    const auto new_script = std::make_shared<connect_script>();
    auto pool =
        make_pool<scripted_connector, keep_alive>(context, scripted_connector(old_script), {});
    run_on(context, pool.acquire()).release();
    pool = make_pool<scripted_connector, keep_alive>(context, scripted_connector(new_script), {});
    CHECK(old_script->open() == 0);
    run_on(context, pool.acquire()).release();
    CHECK(new_script->open() == 1);
    auto& alias = pool;
    pool = std::move(alias);
    CHECK(pool.stats().idle == 1);
}

} // namespace

} // namespace connection_pool_close_tests
