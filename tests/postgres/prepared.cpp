// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "support.hpp"

#include <string>
#include <vector>

namespace prepared_tests {

namespace {

// How many statements the session has on its server, by the server's own account.
asio::awaitable<int> prepared_by_us(pg::connection& conn)
{
    const auto rows = co_await conn.query(
        pg::statement("select count(*) from pg_prepared_statements where name like 'loopsafe%'")
            .without_preparing());
    co_return rows[0][0].as<int>();
}

asio::awaitable<std::string> name_of(pg::connection& conn, std::string text)
{
    const auto rows = co_await conn.query(
        pg::statement("select name from pg_prepared_statements where statement = $1")
            .without_preparing(),
        text);
    co_return rows.empty() ? std::string() : rows[0][0].as<std::string>();
}

asio::awaitable<void> run_twice(pg::connection& conn, std::string text)
{
    co_await conn.query(text);
    co_await conn.query(text);
}

asio::awaitable<pg::error> failure_of(asio::awaitable<pg::result> pending)
{
    try {
        co_await std::move(pending);
    } catch (const pg::error& e) {
        co_return e;
    }
    throw std::logic_error("nothing was thrown");
}

} // namespace

TEST_SUITE_BEGIN("prepared");

TEST_CASE("a statement that is run again is prepared, and gives the same")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        for (int i = 0; i != 5; ++i) {
            const auto rows = co_await conn.query("select $1 + 1, $2::text", i, "x");
            CHECK(rows[0][0].as<int>() == i + 1);
            CHECK(rows[0][1].as<std::string>() == "x");
            CHECK(co_await prepared_by_us(conn) == (i == 0 ? 0 : 1));
        }
    });
}

TEST_CASE("what is not to be prepared is not: the statement, the connector, or what needs no plan")
{
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect();
        for (int i = 0; i != 3; ++i) {
            co_await conn.query(pg::statement("select 1").without_preparing());
            co_await conn.query("set application_name = 'x'");
            co_await conn.query("show application_name");
            co_await conn.transaction([](pg::connection&) -> asio::awaitable<void> { co_return; });
        }
        CHECK(co_await prepared_by_us(conn) == 0);
        auto never = co_await connect(pg::connector(server(), {.prepared = false}));
        auto none = co_await connect(pg::connector(server(), {.max_prepared = 0}));
        for (int i = 0; i != 3; ++i) {
            co_await never.query("select 1");
            co_await none.query("select 1");
        }
        CHECK(co_await prepared_by_us(never) == 0);
        CHECK(co_await prepared_by_us(none) == 0);
    });
}

TEST_CASE("parameters of other types are another statement")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        for (int i = 0; i != 3; ++i) {
            const auto number = co_await conn.query("select pg_typeof($1)::text", 7);
            CHECK(number[0][0].as<std::string>() == "integer");
            const auto text = co_await conn.query("select pg_typeof($1)::text", 7.5);
            CHECK(text[0][0].as<std::string>() == "double precision");
        }
        CHECK(co_await prepared_by_us(conn) == 2);
    });
}

TEST_CASE("inserts, updates and deletes are prepared, and count what they concern")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table t (i int)");
        for (int i = 0; i != 3; ++i) {
            CHECK(co_await conn.execute("insert into t values ($1), ($1)", i) == 2);
            CHECK(co_await conn.execute("update t set i = -1 where i = $1", i) == 2);
            CHECK(co_await conn.execute("delete from t where i = -1") == 2);
        }
        CHECK(co_await prepared_by_us(conn) == 3);
    });
}

TEST_CASE("a failing statement fails alike, prepared or not, and its session goes on")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const std::string divide = "select 1 / $1";
        for (int i = 0; i != 3; ++i) {
            const auto e = co_await failure_of(conn.query(divide, 0));
            CHECK(e.sqlstate() == "22012");
            const auto rows = co_await conn.query(divide, 1);
            CHECK(rows[0][0].as<int>() == 1);
        }
        CHECK(co_await prepared_by_us(conn) == 1);
        const std::string wrong = "select nothing_like_it";
        for (int i = 0; i != 3; ++i) {
            const auto e = co_await failure_of(conn.query(wrong));
            CHECK(e.sqlstate() == "42703");
            CHECK(e.position() == 8);
        }
        CHECK(co_await prepared_by_us(conn) == 1);
    });
}

TEST_CASE("a failing statement runs once, prepared or not")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temporary sequence s");
        const std::string text = "select nextval('s'), ($1::text)::regclass";
        for (int i = 0; i != 3; ++i)
            co_await conn.query(text, "pg_class");
        CHECK(co_await prepared_by_us(conn) == 1);
        const auto e = co_await failure_of(conn.query(text, "no_such_table"));
        CHECK(e.sqlstate() == "42P01");
        const auto last = co_await conn.query("select last_value from s");
        CHECK(last[0][0].as<int>() == 4);
    });
}

TEST_CASE("what was used least recently makes room")
{
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect(pg::connector(server(), {.max_prepared = 2}));
        co_await run_twice(conn, "select 1");
        co_await run_twice(conn, "select 2");
        co_await conn.query("select 1");
        co_await run_twice(conn, "select 3");
        CHECK(co_await prepared_by_us(conn) == 2);
        CHECK(co_await name_of(conn, "select 1") != "");
        CHECK(co_await name_of(conn, "select 2") == "");
        CHECK(co_await name_of(conn, "select 3") != "");
    });
}

TEST_CASE("texts that come once, however many, push nothing out")
{
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect(pg::connector(server(), {.max_prepared = 2}));
        co_await run_twice(conn, "select 1");
        for (int i = 2; i != 9; ++i)
            co_await conn.query("select " + std::to_string(i));
        co_await conn.query("select 2"); // forgotten by now, so seen for the first time
        CHECK(co_await prepared_by_us(conn) == 1);
        CHECK(co_await name_of(conn, "select 1") != "");
    });
}

TEST_CASE("in a transaction nothing is pushed out, since an error there would end it")
{
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect(pg::connector(server(), {.max_prepared = 1}));
        co_await run_twice(conn, "select 1");
        co_await conn.execute("deallocate " + co_await name_of(conn, "select 1"));
        co_await conn.transaction([](pg::connection& c) -> asio::awaitable<void> {
            co_await run_twice(c, "select 2");
            co_await c.query("select 2");
        });
        CHECK(co_await prepared_by_us(conn) == 0);
        co_await conn.query("select 2"); // what is gone already makes room as well
        CHECK(co_await name_of(conn, "select 2") != "");
    });
}

TEST_CASE("a table that has changed is met with a new plan, and the caller sees the new columns")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table t (a int)");
        co_await conn.execute("insert into t values (1)");
        for (int i = 0; i != 4; ++i) {
            const auto before = co_await conn.query("select * from t");
            CHECK(before.columns() == static_cast<std::size_t>(i) + 1);
            co_await conn.query("select * from t");
            co_await conn.execute("alter table t add b" + std::to_string(i) + " text default 'x'");
        }
        CHECK(co_await prepared_by_us(conn) <= 1); // those that are out of date do not pile up
    });
}

TEST_CASE("in a transaction a changed table is an error that says what to do, and then it works")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table t (a int)");
        co_await run_twice(conn, "select * from t");
        co_await conn.execute("alter table t add b text");
        const auto select_all = [](pg::connection& c) -> asio::awaitable<pg::result> {
            co_return co_await c.query("select * from t");
        };
        const auto e = co_await failure_of(conn.transaction(select_all));
        CHECK(e.sqlstate() == "0A000");
        CHECK(e.hint() == "an object used by the statement has changed: run the transaction again");
        const auto rows = co_await conn.transaction(select_all);
        CHECK(rows.columns() == 2);
    });
}

TEST_CASE("a session that is told DEALLOCATE ALL or DISCARD ALL prepares anew")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        for (const auto* all : {"deallocate all", "discard all"}) {
            co_await run_twice(conn, "select 1");
            CHECK(co_await prepared_by_us(conn) == 1);
            co_await conn.execute(all);
            CHECK(co_await prepared_by_us(conn) == 0);
            co_await run_twice(conn, "select 1");
            CHECK(co_await prepared_by_us(conn) == 1);
        }
    });
}

TEST_CASE("where somebody takes prepared statements away, a session goes on without them")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await run_twice(conn, "select 1");
        co_await conn.execute("deallocate " + co_await name_of(conn, "select 1"));
        for (int i = 0; i != 3; ++i) {
            const auto rows = co_await conn.query("select 1");
            CHECK(rows[0][0].as<int>() == 1);
        }
        CHECK(co_await prepared_by_us(conn) == 0);
    });
}

TEST_CASE("a statement of the caller's own that is gone is the caller's own error")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("prepare p as select 1");
        co_await run_twice(conn, "execute p");
        co_await conn.execute("deallocate p");
        for (int i = 0; i != 2; ++i) {
            const auto e = co_await failure_of(conn.query("execute p"));
            CHECK(e.sqlstate() == "26000");
            CHECK(e.hint() == "");
        }
        co_await run_twice(conn, "select 1");
        CHECK(co_await name_of(conn, "select 1") != ""); // it has not given up preparing
    });
}

TEST_CASE(
    "a reset ends what was prepared, and the next user's statements are as those of the first")
{
    const pg::connector connector(server());
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        const std::string unreported = "select null = null";
        co_await conn.execute("set transform_null_equals = on");
        for (int i = 0; i != 2; ++i) {
            const auto rows = co_await conn.query(unreported);
            CHECK(rows[0][0].as<bool>());
        }
        CHECK(co_await prepared_by_us(conn) == 1);
        co_await connector.reset(conn);
        for (int i = 0; i != 2; ++i) {
            CHECK(co_await prepared_by_us(conn) == 0);
            const auto rows = co_await conn.query(unreported);
            CHECK(rows[0][0].is_null());
        }
        CHECK(co_await prepared_by_us(conn) == 1);
    });
}

TEST_CASE("a literal is read by the settings of the moment, as far as the server reports them")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        struct {
            const char* setting;
            const char* values[2];
            const char* text;
            const char* expected[2];
        } const cases[] = {
            {"timezone",
             {"UTC", "Asia/Tokyo"},
             "select extract(epoch from '1970-01-02 00:00'::timestamptz)::int::text",
             {"86400", "54000"}},
            {"datestyle",
             {"ISO, MDY", "ISO, DMY"},
             "select '01/02/2020'::date::text",
             {"2020-01-02", "2020-02-01"}},
            {"intervalstyle",
             {"postgres", "sql_standard"},
             "select ('-1 1:00:00'::interval = '-25 hours'::interval)::text",
             {"false", "true"}},
            {"standard_conforming_strings", {"on", "off"}, "select 'a\\\\b'", {"a\\\\b", "a\\b"}},
        };
        for (const auto& c : cases) {
            for (int i = 0; i != 6; ++i) {
                CAPTURE(c.setting);
                co_await conn.query("select set_config($1, $2, false)", c.setting, c.values[i % 2]);
                const auto rows = co_await conn.query(c.text);
                CHECK(rows[0][0].text() == c.expected[i % 2]);
            }
            co_await conn.execute("discard all");
        }
    });
}

TEST_CASE("a literal is read in the encoding of the moment")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const std::string text = "select length('\xc3\xa9')";
        for (int i = 0; i != 3; ++i)
            CHECK((co_await conn.query(text))[0][0].as<int>() == 1);
        co_await conn.execute("set client_encoding = latin1");
        CHECK((co_await conn.query(text))[0][0].as<int>() == 2);
    });
}

TEST_CASE("a plan that no longer fits its table is not what a statement fails for")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table t (i int)");
        const std::string find = "select i from t where i = $1";
        co_await conn.query(find, "7");
        co_await conn.query(find, "7"); // $1 is an integer now
        co_await conn.execute("alter table t alter i type text");
        for (int i = 0; i != 3; ++i) {
            const auto rows = co_await conn.query(find, "7");
            CHECK(rows.empty());
        }
    });
}

TEST_CASE("NULL is of the type that its optional has")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        for (int i = 0; i != 4; ++i) {
            const auto number = i % 2 == 0 ? std::optional<int>() : std::optional(i);
            const auto rows = co_await conn.query("select $1, pg_typeof($1)::text", number);
            CHECK(rows[0][1].as<std::string>() == "integer");
        }
        CHECK(co_await prepared_by_us(conn) == 1);
    });
}

TEST_CASE("texts as long as a book are not kept")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await run_twice(conn, "select 1 -- " + std::string(20'000, 'x'));
        CHECK(co_await prepared_by_us(conn) == 0);
    });
}

TEST_CASE("cancelled while it is prepared, a statement leaves nothing for long")
{
    const pg::connector connector(server());
    asio::io_context context;
    auto conn = run_on(context, [&] { return connect(connector); });
    run_on(context, [&]() -> asio::awaitable<void> { co_await conn.query("select 1"); });

    asio::cancellation_signal signal;
    std::exception_ptr ended;
    context.restart();
    asio::co_spawn(
        context, [&]() -> asio::awaitable<void> { co_await conn.query("select 1"); },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { ended = e; }));
    context.run_one(); // up to where the answer is waited for
    await_input(conn); // and the server has it prepared
    signal.emit(asio::cancellation_type::terminal);
    context.run();
    REQUIRE(ended != nullptr);
    CHECK_THROWS_AS(std::rethrow_exception(ended), pg::error);

    CHECK(conn.is_open());
    CHECK(run_on(context, [&] { return prepared_by_us(conn); }) == 1);
    run_on(context, [&] { return run_twice(conn, "select 2"); });
    CHECK(run_on(context, [&] { return name_of(conn, "select 1"); }) == "");
    CHECK(run_on(context, [&] { return prepared_by_us(conn); }) == 1);
}

TEST_SUITE_END();

} // namespace prepared_tests
