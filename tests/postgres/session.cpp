// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "peer.hpp"
#include "support.hpp"

#include <future>
#include <sys/wait.h>
#include <unistd.h>

namespace session_tests {

namespace {

asio::awaitable<std::string> ask(pg::connection& conn, std::string sql)
{
    const auto rows = co_await conn.query(sql);
    co_return std::string(rows[0][0].text());
}

} // namespace

TEST_SUITE_BEGIN("session");

TEST_CASE("a new connection is clean, alive, and needs no reset")
{
    const pg::connector connector(server());
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        CHECK(connector.is_clean(conn));
        CHECK(connector.probe(conn));
        CHECK_FALSE(connector.needs_reset(conn));
    });
}

TEST_CASE("a connection moves, and what it leaves is closed")
{
    run([]() -> asio::awaitable<void> {
        const pg::connector connector(server());
        auto conn = co_await connect(connector);
        auto other = co_await connect(connector);
        const int pid = other.backend_pid();
        conn = std::move(other);
        CHECK(conn.backend_pid() == pid);
        CHECK(other.backend_pid() == 0);
        CHECK_FALSE(other.is_open());
        CHECK_FALSE(connector.is_clean(other));
        CHECK_FALSE(connector.probe(other));
        try {
            co_await other.query("select 1");
            FAIL("accepted");
        } catch (const pg::error& e) {
            CHECK(e.code() == pg::errc::unusable);
        }
        conn.close();
        CHECK_FALSE(conn.is_open());
    });
}

TEST_CASE("a session says who it is and speaks UTF-8, unless it was told otherwise")
{
    run([]() -> asio::awaitable<void> {
        auto plain = co_await connect();
        CHECK(co_await ask(plain, "show application_name") == "loopsafe");
        CHECK(co_await ask(plain, "show client_encoding") == "UTF8");
        auto told = co_await connect(server("application_name=me client_encoding=LATIN1"));
        CHECK(co_await ask(told, "show application_name") == "me");
        CHECK(co_await ask(told, "show client_encoding") == "LATIN1");
    });
}

TEST_CASE("a reset takes away all that a session can keep")
{
    const pg::connector connector(server());
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        co_await ask(conn, "select 'prepared'");
        co_await ask(conn, "select 'prepared'");
        co_await conn.execute("drop sequence if exists numbers");
        co_await conn.execute("create sequence numbers");
        co_await conn.execute("set statement_timeout = 12345");
        co_await conn.query("select set_config('my.tenant', 'a', false)");
        co_await conn.execute("set client_encoding = 'LATIN1'");
        co_await conn.execute("create temp table t (i int)");
        co_await conn.execute("prepare p as select 1");
        co_await conn.execute("do $$ begin execute 'prepare q as select 1'; end $$");
        co_await conn.execute("listen somebody");
        co_await conn.execute("declare c cursor with hold for select 1");
        co_await conn.query("select pg_advisory_lock(8)");
        co_await conn.query("select nextval('numbers')");
        co_await conn.execute("set role secret");
        co_await conn.query("notify somebody");
        CHECK(connector.needs_reset(conn));

        co_await connector.reset(conn);
        CHECK_FALSE(connector.needs_reset(conn));
        CHECK(connector.is_clean(conn));
        CHECK(PQnotifies(conn.native_handle()) == nullptr);
        CHECK(co_await ask(conn, "select current_user") == "loopsafe");
        CHECK(co_await ask(conn, "show statement_timeout") == "0");
        CHECK(co_await ask(conn, "select current_setting('my.tenant', true)") == "");
        CHECK(co_await ask(conn, "show client_encoding") == "UTF8");
        CHECK(co_await ask(conn, "show application_name") == "loopsafe");
        CHECK(co_await ask(conn, "select to_regclass('pg_temp.t') is null") == "t");
        CHECK(co_await ask(conn, "select count(*) from pg_prepared_statements") == "0");
        CHECK(co_await ask(conn, "select count(*) from pg_listening_channels()") == "0");
        CHECK(co_await ask(conn, "select count(*) from pg_cursors where name = 'c'") == "0");
        CHECK(co_await ask(conn, "select count(*) from pg_locks where locktype = 'advisory' and "
                                 "pid = pg_backend_pid()") == "0");
        try {
            co_await conn.query("select lastval()");
            FAIL("the session still knows the last value of a sequence");
        } catch (const pg::error& e) {
            CHECK(e.sqlstate() == "55000");
        }
    });
}

TEST_CASE("a session needs a reset when it was used, always, or never, as it is told")
{
    for (const auto when :
         {pg::reset_session::if_used, pg::reset_session::always, pg::reset_session::never}) {
        const pg::connector connector(server(), {.reset = when});
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(connector);
            CHECK(connector.needs_reset(conn) == (when == pg::reset_session::always));
            co_await conn.query("select 1");
            CHECK(connector.needs_reset(conn) == (when != pg::reset_session::never));
        });
    }
}

TEST_CASE("a statement that fails leaves a connection that is clean, unless told otherwise")
{
    for (const bool reuse : {false, true}) {
        const pg::connector connector(server(), {.reuse_after_error = reuse});
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(connector);
            try {
                co_await conn.query("nonsense");
                FAIL("accepted");
            } catch (const pg::error&) {
            }
            CHECK(conn.is_open());
            CHECK(connector.is_clean(conn) == reuse);
        });
    }
}

TEST_CASE("a connection whose server has gone does not pass the probe")
{
    for (const std::string mode : {"sslmode=disable", "sslmode=require"}) {
        CAPTURE(mode);
        const pg::connector connector(server(mode));
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(connector);
            auto other = co_await connect();
            co_await kill(other, conn.backend_pid());
            await_input(conn);
            CHECK_FALSE(connector.probe(conn));
            CHECK_FALSE(connector.probe(conn));
        });
    }
}

TEST_CASE("a farewell without the end of the connection does not pass the probe")
{
    using namespace std::string_literals;
    const auto farewell = message('E', "SFATAL\0VFATAL\0C57P01\0Mgoing down\0\0"s);
    for (const bool at_once : {true, false}) {
        CAPTURE(at_once);
        std::promise<void> connected;
        peer p([&](peer::socket& s) {
            peer::receive(s);
            peer::send(s, welcome() + (at_once ? farewell : ""));
            connected.get_future().wait();
            if (!at_once)
                peer::send(s, farewell);
            peer::receive_all(s);
        });
        const pg::connector connector(p.conninfo("sslmode=disable"));
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(connector);
            connected.set_value();
            if (!at_once)
                await_input(conn);
            CHECK_FALSE(connector.probe(conn));
            CHECK_FALSE(connector.is_clean(conn));
        });
    }
}

TEST_CASE("bytes that nobody asked for do not pass the probe")
{
    for (const auto& bytes : {std::string("nonsense"), ready()}) {
        std::promise<void> idle;
        peer p([&](peer::socket& s) {
            peer::receive(s);
            peer::send(s, welcome());
            peer::receive(s);
            peer::send(s, message('C', std::string("SELECT 0\0", 9)) + ready());
            idle.get_future().wait();
            peer::send(s, bytes);
            peer::receive_all(s);
        });
        const pg::connector connector(p.conninfo("sslmode=disable"));
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(connector);
            co_await conn.query("select");
            CHECK(connector.probe(conn));
            idle.set_value();
            await_input(conn);
            CHECK_FALSE(connector.probe(conn));
        });
    }
}

TEST_CASE("what a server may send unasked is taken, and the probe passes")
{
    for (const std::string mode : {"sslmode=disable", "sslmode=require"}) {
        CAPTURE(mode);
        const pg::connector connector(server(mode));
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(connector);
            auto other = co_await connect();
            co_await conn.execute("listen news");
            co_await other.execute("notify news, 'hello'");
            await_input(conn);
            CHECK(connector.probe(conn));
            auto* const news = PQnotifies(conn.native_handle());
            REQUIRE(news != nullptr);
            CHECK(std::string(news->extra) == "hello");
            PQfreemem(news);
        });
    }
}

TEST_CASE("a forked child lets go of a connection and its parent goes on with it")
{
    for (const std::string mode : {"sslmode=disable", "sslmode=require"}) {
        CAPTURE(mode);
        const pg::connector connector(server(mode));
        asio::io_context context;
        auto conn = run_on(context, [&] { return connect(connector); });
        const auto child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            const auto before = open_descriptors();
            connector.abandon(conn);
            ::_exit(conn.is_open() || open_descriptors() != before - 2 ? 1 : 0);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        CHECK(connector.probe(conn));
        const auto answer = run_on(context, [&] { return ask(conn, "select 42"); });
        CHECK(answer == "42");
    }
}

TEST_SUITE_END();

} // namespace session_tests
