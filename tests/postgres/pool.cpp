// SPDX-License-Identifier: BSL-1.0
#include "peer.hpp"
#include "support.hpp"

#include <loopsafe/connection_pool.hpp>

#include <set>

namespace pool_tests {

namespace {

using pool = loopsafe::connection_pool<pg::connector>;
using namespace std::chrono_literals;

asio::awaitable<pool> make_pool(loopsafe::kept_connection_options limits = {},
                                pg::connector connector = pg::connector(server()))
{
    co_return pool(co_await asio::this_coro::executor, std::move(connector), limits);
}

asio::awaitable<std::string> ask(pool& db, std::string sql)
{
    auto lease = co_await db.acquire();
    const auto rows = co_await lease->query(sql);
    co_return std::string(rows[0][0].text());
}

} // namespace

TEST_SUITE_BEGIN("pool");

TEST_CASE("twenty callers share four connections")
{
    asio::io_context context;
    auto db = run_on(context, [] { return make_pool({.max_size = 4}); });
    std::multiset<std::string> backends;
    context.restart();
    for (int i = 0; i < 20; ++i) {
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                backends.insert(co_await ask(db, "select pg_backend_pid()"));
            },
            [](std::exception_ptr e) { CHECK(e == nullptr); });
    }
    context.run();
    CHECK(backends.size() == 20);
    CHECK(std::set<std::string>(backends.begin(), backends.end()).size() == 4);
    CHECK(db.stats().connects == 4);
    CHECK(db.stats().reused == 16);
    CHECK(db.stats().idle == 4);
}

TEST_CASE("a session that was killed while idle is replaced, probed or not")
{
    for (const auto probe_after : {0ms, loopsafe::never}) {
        run([&]() -> asio::awaitable<void> {
            auto db = co_await make_pool({.max_size = 1, .probe_after = probe_after});
            const auto first = co_await ask(db, "select pg_backend_pid()");
            auto other = co_await connect();
            co_await kill(other, std::stoi(first));
            const auto second = co_await ask(db, "select pg_backend_pid()");
            CHECK(second != first);
            CHECK(db.stats().connects == 2);
            CHECK(db.stats().idle == 1);
        });
    }
}

TEST_CASE("sessions that were killed a moment ago are not lent, even where none is ever reset")
{
    run([&]() -> asio::awaitable<void> {
        pg::connector_options how;
        how.reset = pg::reset_session::never;
        auto db = co_await make_pool({.max_size = 3}, pg::connector(server(), how));
        auto killer = co_await connect();
        std::vector<pool::lease_type> all;
        for (int i = 0; i != 3; ++i)
            all.push_back(co_await db.acquire());
        std::vector<int> pids;
        for (auto& each : all)
            pids.push_back((co_await each->query("select pg_backend_pid()"))[0][0].as<int>());
        all.clear();
        CHECK(db.stats().idle == 3);
        for (const int each : pids)
            co_await kill(killer, each);
        CHECK(!db.try_acquire(co_await asio::this_coro::executor));
        for (int i = 0; i != 4; ++i)
            CHECK(co_await ask(db, "select 1") == "1");
        CHECK(db.stats().connects == 4);
        CHECK(db.stats().closed(loopsafe::close_reason::probe_failed) == 1);
    });
}

TEST_CASE("a session that was killed in mid-query loses no place")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool({.max_size = 1});
        try {
            co_await ask(db, "select pg_terminate_backend(pg_backend_pid())");
            FAIL("survived");
        } catch (const pg::error& e) {
            CHECK(e.sqlstate() == "57P01");
        }
        CHECK(co_await ask(db, "select 42") == "42");
        CHECK(db.stats().connects == 2);
    });
}

TEST_CASE("a transaction left open is closed with its connection")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool({.max_size = 1});
        int first = 0;
        {
            auto lease = co_await db.acquire();
            first = lease->backend_pid();
            co_await lease->execute("begin");
        }
        CHECK(db.stats().idle == 0);
        auto lease = co_await db.acquire();
        CHECK(lease->backend_pid() != first);
        CHECK(db.stats().connects == 2);
    });
}

TEST_CASE("a connection whose statement failed is used again, unless told otherwise")
{
    for (const bool reuse : {true, false}) {
        run([&]() -> asio::awaitable<void> {
            pg::connector_options options;
            if (!reuse)
                options.reuse_after_error = false;
            auto db = co_await make_pool({.max_size = 1}, pg::connector(server(), options));
            {
                auto lease = co_await db.acquire();
                try {
                    co_await lease->query("nonsense");
                } catch (const pg::error&) {
                }
            }
            CHECK(db.stats().idle == (reuse ? 1 : 0));
            CHECK(co_await ask(db, "select 42") == "42");
            CHECK(db.stats().connects == (reuse ? 1 : 2));
        });
    }
}

TEST_CASE("an exception that passes through a lease costs no session between messages, and none is "
          "used again with a transaction open")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool({.max_size = 1});
        const auto fail = [](pg::connection& c) -> asio::awaitable<void> {
            co_await c.execute("select 1");
            throw std::runtime_error("of the caller's own");
        };
        const auto handle = [&](bool by_hand) -> asio::awaitable<void> {
            auto lease = co_await db.acquire();
            if (by_hand) {
                co_await lease->execute("begin");
                co_await fail(*lease);
            }
            co_await lease->transaction(fail);
        };
        for (int message = 0; message < 4; ++message) {
            try {
                co_await handle(false);
                FAIL("no exception");
            } catch (const std::runtime_error&) {
            }
        }
        CHECK(db.stats().connects == 1);
        CHECK(db.stats().idle == 1);
        try {
            co_await handle(true);
            FAIL("no exception");
        } catch (const std::runtime_error&) {
        }
        CHECK(db.stats().closed(loopsafe::close_reason::dirty) == 1);
        CHECK(co_await ask(db, "select 42") == "42");
        CHECK(db.stats().connects == 2);
    });
}

TEST_CASE("an operation that nobody awaited does not run in the next lease")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool({.max_size = 1});
        auto lease = co_await db.acquire();
        const int pid = lease->backend_pid();
        auto late_query = lease->query("select 1");
        bool ran = false;
        auto late_transaction = lease->transaction([&](pg::connection&) -> asio::awaitable<void> {
            ran = true;
            co_return;
        });
        lease.release();
        auto next = co_await db.acquire();
        CHECK(next->backend_pid() == pid);
        for (const bool in_transaction : {false, true}) {
            std::string refused;
            if (in_transaction)
                co_await next->execute("begin");
            try {
                if (in_transaction)
                    co_await std::move(late_transaction);
                else
                    co_await std::move(late_query);
            } catch (const loopsafe::context_error& e) {
                CHECK(e.code() == loopsafe::errc::lease_expired);
                refused = e.what();
            }
            CHECK(refused.find("await an operation before its lease ends") != std::string::npos);
        }
        CHECK_FALSE(ran);
        co_await next->execute("rollback");
        CHECK((co_await next->query("select 42"))[0][0].as<int>() == 42);
    });
}

TEST_CASE("what a session keeps does not leak to the next lease")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool({.max_size = 1});
        int first = 0;
        {
            auto lease = co_await db.acquire();
            first = lease->backend_pid();
            co_await lease->execute("set statement_timeout = 12345");
            co_await lease->query("select set_config('my.tenant', 'a', false)");
        }
        auto lease = co_await db.acquire();
        CHECK(lease->backend_pid() == first);
        const auto rows = co_await lease->query("select current_setting('statement_timeout'), "
                                                "current_setting('my.tenant', true)");
        CHECK(rows[0][0].text() == "0");
        CHECK(rows[0][1].text() == "");
    });
}

TEST_CASE("a lease carried to another context is refused, and its pool stays usable")
{
    asio::io_context home;
    asio::io_context other;
    auto db = run_on(home, [] { return make_pool({.max_size = 1}); });
    auto lease = run_on(home, [&] { return db.acquire(); });
    const auto e =
        thrown_on<loopsafe::context_error>(other, [&] { return lease->execute("select 1"); });
    CHECK(e.code() == loopsafe::errc::wrong_context);
    lease.release();
    CHECK(db.stats().idle == 1);
    const auto answer = run_on(home, [&] { return ask(db, "select 42"); });
    CHECK(answer == "42");
}

TEST_CASE("a query dies with its context, and so does its lease")
{
    const auto before = open_descriptors();
    {
        auto home = std::make_unique<asio::io_context>();
        auto db = run_on(*home, [] { return make_pool({.max_size = 2}); });
        run_on(*home, [&] { return ask(db, "select 1"); });
        home->restart();
        for (int i = 0; i < 2; ++i)
            asio::co_spawn(*home, ask(db, "select pg_sleep(600)"), asio::detached);
        home->poll();
        home.reset();
        CHECK(db.stats().leased == 0);
        CHECK(db.stats().idle == 0);
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("a server that accepts and is silent: connect_timeout, and no place is lost")
{
    peer silent([](peer::socket& s) { peer::receive_all(s); });
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool({.max_size = 1, .connect_timeout = 20ms},
                                     pg::connector(silent.conninfo("sslmode=require")));
        try {
            co_await db.acquire();
            FAIL("connected");
        } catch (const loopsafe::pool_error& e) {
            CHECK(e.code() == loopsafe::errc::connect_timeout);
            const auto& last = e.report().last_connect_error;
            CAPTURE(last);
            CHECK(last.find("127.0.0.1:" + std::to_string(silent.port())) != std::string::npos);
            CHECK(last.find("is the port PostgreSQL's?") != std::string::npos);
        }
        CHECK(db.stats().connecting == 0);
    });
}

TEST_SUITE_END();

} // namespace pool_tests
