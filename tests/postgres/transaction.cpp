// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "support.hpp"

#include <memory>
#include <string>
#include <vector>

namespace transaction_tests {

namespace {

asio::awaitable<int> count(pg::connection& conn)
{
    const auto rows = co_await conn.query("select count(*) from t");
    co_return rows[0][0].as<int>();
}

// A connection with an empty table t.
template <class Body>
void with_table(Body body)
{
    const pg::connector connector(server());
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        co_await conn.execute("create temp table t (i int primary key)");
        co_await body(connector, conn);
    });
}

// For a body that inserts into t, and ends its transaction itself: no success is told.
template <class Body>
asio::awaitable<void> check_refused(pg::connection& conn, Body body)
{
    std::optional<pg::error> failure;
    try {
        co_await conn.transaction(body);
    } catch (const pg::error& e) {
        failure = e;
    }
    REQUIRE(failure.has_value());
    CHECK(failure->code() == pg::errc::transaction_failed);
    CHECK(failure->server_message().find("must not begin, commit") != std::string::npos);
    CHECK(PQtransactionStatus(conn.native_handle()) == PQTRANS_IDLE);
    co_await conn.execute("truncate t");
}

} // namespace

TEST_SUITE_BEGIN("transaction");

TEST_CASE("a body that returns is committed, and gives what it gave")
{
    with_table([](const pg::connector& connector, pg::connection& conn) -> asio::awaitable<void> {
        const auto state =
            co_await conn.transaction([&](pg::connection& c) -> asio::awaitable<std::string> {
                co_await c.execute("insert into t values (1)");
                CHECK_FALSE(connector.is_clean(c));
                co_return "done";
            });
        CHECK(state == "done");
        CHECK(connector.is_clean(conn));
        CHECK(co_await count(conn) == 1);
    });
}

TEST_CASE("a body may give what can only be moved")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        const auto owned =
            co_await conn.transaction([](pg::connection&) -> asio::awaitable<std::unique_ptr<int>> {
                co_return std::make_unique<int>(7);
            });
        CHECK(*owned == 7);
    });
}

TEST_CASE("a body with a name may own what it captures, and is not copied")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        const auto body = [owned = std::make_unique<std::string>(100, 'b')](
                              pg::connection& c) -> asio::awaitable<std::size_t> {
            const auto rows = co_await c.query("select $1", *owned);
            co_return rows[0][0].text().size();
        };
        CHECK(co_await conn.transaction(body) == 100);
        CHECK(co_await conn.transaction(body) == 100);
    });
}

TEST_CASE("a body that throws is rolled back, and its exception arrives")
{
    with_table([](const pg::connector& connector, pg::connection& conn) -> asio::awaitable<void> {
        std::string thrown;
        try {
            co_await conn.transaction([](pg::connection& c) -> asio::awaitable<void> {
                co_await c.execute("insert into t values (1)");
                throw std::runtime_error("changed my mind");
            });
        } catch (const std::runtime_error& e) {
            thrown = e.what();
        }
        CHECK(thrown == "changed my mind");
        CHECK(connector.is_clean(conn));
        CHECK(co_await count(conn) == 0);
    });
}

TEST_CASE("a statement that fails rolls the transaction back, and its error arrives")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        std::optional<pg::error> failure;
        try {
            co_await conn.transaction([](pg::connection& c) -> asio::awaitable<void> {
                co_await c.execute("insert into t values (1)");
                co_await c.execute("insert into t values (1)");
            });
        } catch (const pg::error& e) {
            failure = e;
        }
        REQUIRE(failure.has_value());
        CHECK(failure->code() == pg::condition::unique_violation);
        CHECK(co_await count(conn) == 0);
    });
}

TEST_CASE("a body that swallows an error is not committed in silence")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        std::optional<pg::error> failure;
        try {
            co_await conn.transaction([](pg::connection& c) -> asio::awaitable<void> {
                co_await c.execute("insert into t values (1)");
                try {
                    co_await c.execute("insert into t values (1)");
                } catch (const pg::error&) {
                }
            });
        } catch (const pg::error& e) {
            failure = e;
        }
        REQUIRE(failure.has_value());
        CHECK(failure->code() == pg::errc::transaction_failed);
        CHECK(failure->stage() == pg::stage::transaction);
        CHECK(co_await count(conn) == 0);
    });
}

TEST_CASE("a transaction that its body has ended is not committed in silence")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        const std::vector<std::vector<std::string>> all{{"rollback"},
                                                        {"commit"},
                                                        {"rollback", "begin"},
                                                        {"commit", "begin"},
                                                        {"commit and chain"},
                                                        {"rollback and chain"},
                                                        {"savepoint s", "commit", "begin"}};
        for (const auto& ends : all) {
            CAPTURE(ends.front());
            CAPTURE(ends.size());
            const auto body = [&](pg::connection& c) -> asio::awaitable<void> {
                co_await c.execute("insert into t values (1)");
                for (const auto& each : ends)
                    co_await c.execute(each);
                co_await c.execute("insert into t values (2)");
            };
            co_await check_refused(conn, body);
        }
        std::optional<pg::error> failure;
        bool begun = false;
        try {
            co_await conn.transaction(pg::statement("select 1"),
                                      [&](pg::connection&) -> asio::awaitable<void> {
                                          begun = true;
                                          co_return;
                                      });
        } catch (const pg::error& e) {
            failure = e;
        }
        CHECK(!begun);
        CHECK(failure->code() == pg::errc::transaction_failed);
    });
}

TEST_CASE("a transaction that has ended inside of a pipeline is not committed in silence")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute(
            "create temp table later (i int unique deferrable initially deferred)");
        const std::vector<std::vector<std::string>> all{
            {"commit", "begin"},
            {"rollback", "begin"},
            {"abort", "start transaction"},
            {"savepoint s", "rollback", "begin"},
            {"commit and chain"},
            {"rollback work and chain"},
            {"insert into later values (1)", "insert into later values (1)", "commit", "begin"},
            {"insert into nowhere values (1)", "commit", "begin"}};
        for (const auto& statements : all) {
            CAPTURE(statements.front());
            const auto body = [&](pg::connection& c) -> asio::awaitable<void> {
                co_await c.execute("insert into t values (1)");
                pg::batch ends;
                for (const auto& each : statements)
                    ends.add(each);
                ends.add("insert into t values (2)");
                co_await c.pipeline(pg::independent, ends);
            };
            co_await check_refused(conn, body);
        }
    });
}

TEST_CASE("a rollback to a savepoint ends no transaction")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        const std::vector<std::string> all{"rollback to s", "ROLLBACK WORK TO SAVEPOINT s"};
        for (const auto& back : all) {
            co_await conn.transaction([&](pg::connection& c) -> asio::awaitable<void> {
                co_await c.execute("truncate t");
                co_await c.execute("insert into t values (1)");
                co_await c.execute("savepoint s");
                co_await c.execute("insert into t values (2)");
                co_await c.execute(back);
                pg::batch piped;
                piped.add("insert into t values (1)").add(back).add("insert into t values (3)");
                const auto outcomes = co_await c.pipeline(pg::independent, piped);
                CHECK(outcomes[0].failed());
                CHECK_FALSE(outcomes[1].failed());
                CHECK_FALSE(outcomes[2].failed());
            });
            CHECK(co_await count(conn) == 2);
        }
    });
}

TEST_CASE("a constraint that fails at the commit is an error of the commit")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table r (i int references t deferrable "
                              "initially deferred)");
        std::optional<pg::error> failure;
        try {
            co_await conn.transaction([](pg::connection& c) -> asio::awaitable<void> {
                co_await c.execute("insert into r values (1)");
            });
        } catch (const pg::error& e) {
            failure = e;
        }
        REQUIRE(failure.has_value());
        CHECK(failure->stage() == pg::stage::transaction);
        CHECK(failure->code() == pg::condition::foreign_key_violation);
        CHECK(conn.is_open());
    });
}

TEST_CASE("a transaction inside another is refused, and the outer one goes on")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        std::optional<pg::error> failure;
        co_await conn.transaction([&](pg::connection& c) -> asio::awaitable<void> {
            co_await c.execute("insert into t values (1)");
            try {
                co_await c.transaction([](pg::connection&) -> asio::awaitable<void> { co_return; });
            } catch (const pg::error& e) {
                failure = e;
            }
        });
        REQUIRE(failure.has_value());
        CHECK(failure->code() == pg::errc::transaction_open);
        CHECK(co_await count(conn) == 1);
    });
}

TEST_CASE("a transaction begins as it is told to")
{
    with_table([](const pg::connector&, pg::connection& conn) -> asio::awaitable<void> {
        const auto level =
            co_await conn.transaction("begin isolation level serializable read only",
                                      [](pg::connection& c) -> asio::awaitable<std::string> {
                                          const auto rows =
                                              co_await c.query("show transaction_isolation");
                                          co_return rows[0][0].as<std::string>();
                                      });
        CHECK(level == "serializable");
    });
}

TEST_CASE("a transaction begun by hand and left open is not clean")
{
    with_table([](const pg::connector& connector, pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("begin");
        CHECK_FALSE(connector.is_clean(conn));
        CHECK_FALSE(connector.probe(conn));
        co_await conn.execute("commit");
        CHECK(connector.is_clean(conn));
    });
}

TEST_CASE("a body that is cancelled ends with the cancellation, and the connection is not clean")
{
    const pg::connector connector(server());
    asio::io_context context;
    auto conn = run_on(context, [&] { return connect(connector); });
    asio::cancellation_signal signal;
    std::exception_ptr failure;
    context.restart();
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            co_await conn.transaction([&](pg::connection& c) -> asio::awaitable<void> {
                co_await c.query("select 1");
                asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
                asio::steady_timer never(context, asio::steady_timer::time_point::max());
                co_await never.async_wait(asio::use_awaitable);
            });
        },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { failure = e; }));
    context.run();
    REQUIRE(failure != nullptr);
    CHECK_THROWS_WITH_AS(std::rethrow_exception(failure), doctest::Contains("canceled"),
                         boost::system::system_error);
    CHECK_FALSE(connector.is_clean(conn));
}

TEST_SUITE_END();

} // namespace transaction_tests
