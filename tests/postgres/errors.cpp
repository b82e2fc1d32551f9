// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "peer.hpp"
#include "support.hpp"

#include <cstdio>
#include <unistd.h>
#include <vector>

namespace errors_tests {

namespace {

std::string what_of(const std::exception& e)
{
    return e.what();
}

} // namespace

TEST_SUITE_BEGIN("errors");

TEST_CASE("an error of the server keeps all its fields, and the connection goes on")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table t (i int constraint only_once primary key)");
        co_await conn.execute("insert into t values (1)");
        const auto line = std::source_location::current().line() + 2;
        try {
            co_await conn.execute("insert into t values ($1)", 1);
            FAIL("accepted");
        } catch (const pg::error& e) {
            CHECK(e.stage() == pg::stage::query);
            CHECK(e.sqlstate() == "23505");
            CHECK(e.code() == pg::condition::unique_violation);
            CHECK(e.code() == pg::condition::integrity_violation);
            CHECK(e.code() != pg::condition::foreign_key_violation);
            CHECK(e.code() != pg::condition::connection_exception);
            CHECK(e.report().constraint == "only_once");
            CHECK(e.report().table == "t");
            CHECK(e.detail() == "Key (i)=(1) already exists.");
            CHECK(e.where().line() == line);
            CHECK(what_of(e) ==
                  "postgres query: duplicate key value violates unique constraint \"only_once\" "
                  "[23505]\n  detail: Key (i)=(1) already exists.\n  server: " +
                      e.report().server + "\n  used:   errors.cpp:" + std::to_string(line));
            CHECK(e.report().server.find(", database \"") != std::string::npos);
        }
        try {
            co_await conn.query("select nothing from t");
            FAIL("accepted");
        } catch (const pg::error& e) {
            CHECK(e.code() == pg::condition::syntax_error_or_access_rule);
            CHECK(e.position() == 8);
        }
        CHECK((co_await conn.query("select 1"))[0][0].as<int>() == 1);
    });
}

TEST_CASE("a notice is not an error, and the handler gets it")
{
    std::vector<pg::notice> heard;
    const pg::connector connector(server(), {}, [&](const pg::notice& n) { heard.push_back(n); });
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        co_await conn.query("do $$ begin raise notice 'one' using hint = 'two'; "
                            "raise warning 'three'; end $$");
        CHECK(connector.is_clean(conn));
    });
    REQUIRE(heard.size() == 2);
    CHECK(heard[0].severity == "NOTICE");
    CHECK(heard[0].message == "one");
    CHECK(heard[0].hint == "two");
    CHECK(heard[1].severity == "WARNING");
    CHECK(heard[1].sqlstate == "01000");
}

TEST_CASE("what a notice handler throws leaves the operation, and the connection goes on")
{
    const pg::connector connector(server(), {},
                                  [](const pg::notice& n) { throw std::runtime_error(n.message); });
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        std::string thrown;
        try {
            co_await conn.query("do $$ begin raise notice 'one'; raise notice 'two'; end $$");
        } catch (const std::runtime_error& e) {
            thrown = e.what();
        }
        CHECK(thrown == "one");
        CHECK((co_await conn.query("select 1"))[0][0].as<int>() == 1);
    });
}

TEST_CASE("notices without a handler are not printed")
{
    const auto printed =
        std::filesystem::temp_directory_path() / ("loopsafe-stderr." + std::to_string(::getpid()));
    const int kept = ::dup(STDERR_FILENO);
    REQUIRE(std::freopen(printed.c_str(), "w", stderr) != nullptr);
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.query("do $$ begin raise warning 'heard by nobody'; end $$");
    });
    std::fflush(stderr);
    ::dup2(kept, STDERR_FILENO);
    ::close(kept);
    CHECK(std::filesystem::file_size(printed) == 0);
    std::filesystem::remove(printed);
}

TEST_CASE("killed in mid-query: SQLSTATE 57P01, and the connection is good for nothing")
{
    const pg::connector connector(server());
    asio::io_context context;
    auto victim = run_on(context, [&] { return connect(connector); });
    auto other = run_on(context, [] { return connect(); });
    std::optional<pg::error> failure;
    context.restart();
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            try {
                co_await victim.query("select pg_sleep(600)");
            } catch (const pg::error& e) {
                failure = e;
            }
        },
        asio::detached);
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            co_await until(other,
                           "select exists (select from pg_stat_activity where pid = $1 and "
                           "wait_event = 'PgSleep')",
                           victim.backend_pid());
            co_await kill(other, victim.backend_pid());
        },
        asio::detached);
    context.run();
    REQUIRE(failure.has_value());
    CHECK(failure->stage() == pg::stage::query);
    CHECK(failure->sqlstate() == "57P01");
    CHECK(failure->code() == pg::condition::connection_exception);
    CHECK_FALSE(victim.is_open());
    CHECK_FALSE(connector.is_clean(victim));
    const auto after = thrown_on<pg::error>(
        context, [&]() -> asio::awaitable<void> { co_await victim.query("select 1"); });
    CHECK(after.code() == pg::errc::unusable);
}

TEST_CASE("killed while idle: the next query says that the connection is gone")
{
    asio::io_context context;
    auto victim = run_on(context, [] { return connect(); });
    auto other = run_on(context, [] { return connect(); });
    run_on(context, [&] { return kill(other, victim.backend_pid()); });
    const auto e = thrown_on<pg::error>(
        context, [&]() -> asio::awaitable<void> { co_await victim.query("select 1"); });
    CHECK(e.stage() == pg::stage::query);
    CHECK(e.code() == pg::condition::connection_exception);
    CHECK_FALSE(victim.is_open());
}

TEST_CASE("a server that goes away in the middle of an answer: stage query, connection lost")
{
    const auto breaks_off = [](std::string answer) {
        peer p([&](peer::socket& s) {
            peer::receive(s);
            peer::send(s, welcome());
            peer::receive(s);
            peer::send(s, answer);
            s.shutdown(peer::socket::shutdown_send);
            peer::receive_all(s);
        });
        return thrown<pg::error>([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(p.conninfo("sslmode=disable"));
            co_await conn.query("select 1");
        });
    };
    using namespace std::string_literals;
    const auto half = breaks_off(message('1', "") + message('2', "").substr(0, 3));
    CHECK(half.stage() == pg::stage::query);
    CHECK(half.code() == pg::errc::connection_lost);
    const auto nonsense = breaks_off("nonsense, and more of it");
    CHECK(nonsense.stage() == pg::stage::query);
    CHECK(nonsense.code() == pg::errc::connection_lost);
    const auto named = breaks_off(message('E', "SFATAL\0VFATAL\0C57P02\0Mcrash\0\0"s));
    CHECK(named.sqlstate() == "57P02");
}

TEST_CASE("a statement that takes too long is an error like any other")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("set statement_timeout = 1");
        try {
            co_await conn.query("select pg_sleep(600)");
            FAIL("slept");
        } catch (const pg::error& e) {
            CHECK(e.code() == pg::condition::query_canceled);
        }
        CHECK(conn.is_open());
    });
}

TEST_SUITE_END();

} // namespace errors_tests
