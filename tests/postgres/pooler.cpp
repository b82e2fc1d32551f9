// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <loopsafe/connection_pool.hpp>

#include <cstdio>
#include <memory>
#include <set>
#include <string>

namespace pooler_tests {

namespace {

// PgBouncer in transaction mode with two connections to the server, which take turns. What a
// client prepares on one of them is not on the other.
std::string pooler()
{
    const auto command = variable("LOOPSAFE_POSTGRES_SERVER") + " pooler " +
                         variable("LOOPSAFE_POSTGRES_DIR") + ' ' +
                         variable("LOOPSAFE_POSTGRES_PORT");
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    int port = 0;
    if (pipe == nullptr || std::fscanf(pipe.get(), "%d", &port) != 1)
        throw std::runtime_error("the pooler does not start: " + command);
    return server("port=" + std::to_string(port));
}

// Opens the second connection to the server: both are then idle, and take turns.
asio::awaitable<void> use_both(pg::connection& a, pg::connection& b)
{
    co_await a.transaction([&b](pg::connection& c) -> asio::awaitable<void> {
        co_await c.query("select 1");
        co_await b.query("select 1");
    });
}

asio::awaitable<int> backend(pg::connection& conn)
{
    const auto rows =
        co_await conn.query(pg::statement("select pg_backend_pid()").without_preparing());
    co_return rows[0][0].as<int>();
}

} // namespace

TEST_SUITE_BEGIN("pooler");

TEST_CASE("behind a pooler in transaction mode nothing that is prepared is needed, where so told")
{
    const pg::connector connector(pooler(), {.reset = pg::reset_session::never, .prepared = false});
    run([&]() -> asio::awaitable<void> {
        auto a = co_await connect(connector);
        auto b = co_await connect(connector);
        co_await use_both(a, b);
        std::set<int> backends;
        for (int i = 0; i != 10; ++i) {
            backends.insert(co_await backend(a));
            const auto rows = co_await a.query("select $1 * 2", i);
            CHECK(rows[0][0].as<int>() == 2 * i);
            co_await b.transaction([i](pg::connection& c) -> asio::awaitable<void> {
                const auto tripled = co_await c.query("select $1 * 3", i);
                CHECK(tripled[0][0].as<int>() == 3 * i);
                const auto known = co_await c.query(
                    "select count(*) from pg_prepared_statements where name like 'loopsafe%'");
                CHECK(known[0][0].as<int>() == 0);
            });
        }
        CHECK(backends.size() == 2);
        CHECK(connector.is_clean(a));
        CHECK(connector.is_clean(b));
    });
}

TEST_CASE("behind a pooler that was not thought of, no session ever runs another's statement")
{
    const pg::connector connector(pooler(), {.reset = pg::reset_session::never});
    run([&]() -> asio::awaitable<void> {
        auto a = co_await connect(connector);
        auto b = co_await connect(connector);
        co_await use_both(a, b);
        std::set<int> backends;
        for (int i = 0; i != 20; ++i) {
            backends.insert(co_await backend(a));
            const auto doubled = co_await a.query("select $1 * 2", i);
            CHECK(doubled[0][0].as<int>() == 2 * i);
            const auto tripled = co_await b.query("select $1 * 3", i);
            CHECK(tripled[0][0].as<int>() == 3 * i);
        }
        CHECK(backends.size() == 2);
    });
}

TEST_CASE("behind a pooler that was not thought of, a transaction that fails says what to set")
{
    const pg::connector connector(pooler(), {.reset = pg::reset_session::never});
    run([&]() -> asio::awaitable<void> {
        auto a = co_await connect(connector);
        auto b = co_await connect(connector);
        co_await use_both(a, b);
        const auto twice = [](pg::connection& c) -> asio::awaitable<int> {
            co_await c.query("select $1 * 2", 1);
            co_await c.query("select $1 * 2", 1);
            co_return co_await backend(c);
        };
        const int there = co_await a.transaction(twice);
        bool elsewhere = false;
        while (!elsewhere) { // the next transaction runs on the other connection
            const int next = co_await backend(b);
            elsewhere = next == there;
        }
        try {
            co_await a.transaction(twice);
            FAIL("found");
        } catch (const pg::error& e) {
            CHECK(e.sqlstate() == "26000");
            CHECK(e.hint() == "a pooler in transaction mode, or DEALLOCATE, has removed a prepared "
                              "statement: set connector_options::prepared to false, or use "
                              "statement::without_preparing()");
        }
        co_await a.transaction(twice); // and from then on it does without
    });
}

TEST_CASE("behind a pooler in transaction mode a statement runs once, on the server that the reset "
          "that goes along has reached")
{
    for (const bool together : {true, false}) {
        CAPTURE(together);
        const pg::connector connector(pooler(),
                                      {.reset_with_statement = together, .prepared = false});
        run([&]() -> asio::awaitable<void> {
            auto direct = co_await connect();
            co_await direct.execute("drop table if exists through_pooler");
            co_await direct.execute("create table through_pooler (i int)");
            auto a = co_await connect(connector);
            auto b = co_await connect(connector);
            co_await use_both(a, b);
            loopsafe::connection_pool<pg::connector> db(co_await asio::this_coro::executor,
                                                        connector, {.max_size = 1});
            std::set<int> backends;
            for (int i = 0; i != 10; ++i) {
                for (int each = 0; each != 2; ++each)
                    co_await a.execute("set statement_timeout = 12345"); // of both servers
                auto lease = co_await db.acquire();
                const auto rows = co_await lease->query(
                    "insert into through_pooler values ($1) returning pg_backend_pid(), "
                    "current_setting('statement_timeout')",
                    i);
                const auto [pid, setting] = rows.one().as<int, std::string>();
                backends.insert(pid);
                if (together && i != 0)
                    CHECK(setting == "0");
            }
            CHECK((backends.size() == 2 || !together));
            CHECK(db.stats().connects == 1);
            const auto rows =
                co_await direct.query("select count(*), count(distinct i) from through_pooler");
            CHECK(rows[0][0].as<int>() == 10);
            CHECK(rows[0][1].as<int>() == 10);
            co_await direct.execute("drop table through_pooler");
        });
    }
}

TEST_SUITE_END();

} // namespace pooler_tests
