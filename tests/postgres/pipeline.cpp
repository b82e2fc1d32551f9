// SPDX-License-Identifier: BSL-1.0
#include "peer.hpp"
#include "support.hpp"

#include <loopsafe/connection_pool.hpp>

#include <future>
#include <support/counting_link.hpp>
#include <vector>

namespace pipeline_tests {

namespace {

using namespace std::chrono_literals;
using pool = loopsafe::connection_pool<pg::connector>;

struct link : support::counting_link {
    link()
        : counting_link(static_cast<std::uint16_t>(std::stoi(variable("LOOPSAFE_POSTGRES_PORT"))))
    {
    }

    pg::connector connector() const
    {
        return pg::connector(server("sslmode=disable port=" + std::to_string(port())));
    }
};

asio::awaitable<std::string> text_of(pg::connection& conn, std::string sql)
{
    const auto rows = co_await conn.query(pg::statement(sql).without_preparing());
    co_return std::string(rows[0][0].text());
}

pg::batch three_numbers()
{
    pg::batch all;
    all.add("select 1").add("select $1 + 1", 1).add("select $1::text", "3");
    return all;
}

asio::awaitable<pg::error> failure_of(asio::awaitable<std::vector<pg::result>> pending)
{
    try {
        co_await std::move(pending);
    } catch (const pg::error& e) {
        co_return e;
    }
    throw std::logic_error("nothing was thrown");
}

constexpr auto unknown = "whether the statement has run is unknown";

} // namespace

TEST_SUITE_BEGIN("pipeline");

TEST_CASE("the statements of a pipeline take one round trip, and give their results in order")
{
    link to_server;
    const pg::connector connector = to_server.connector();
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        const int before = to_server.round_trips();
        const auto results = co_await conn.pipeline(pg::atomic, three_numbers());
        CHECK(to_server.round_trips() - before == 1);
        REQUIRE(results.size() == 3);
        const auto outcomes = co_await conn.pipeline(pg::independent, three_numbers());
        REQUIRE(outcomes.size() == 3);
        for (int i = 0; i != 3; ++i) {
            const auto at = static_cast<std::size_t>(i);
            CHECK(results[at][0][0].as<int>() == i + 1);
            CHECK_FALSE(outcomes[at].failed());
            CHECK(outcomes[at].rows()[0][0].as<int>() == i + 1);
        }
        CHECK(connector.is_clean(conn));
        CHECK((co_await conn.pipeline(pg::atomic, {})).empty());
        CHECK((co_await conn.pipeline(pg::independent, {})).empty());
    });
}

TEST_CASE("independent statements are sent without waiting for an answer")
{
    using namespace std::string_view_literals;
    peer p([](peer::socket& s) {
        peer::receive(s);
        peer::send(s, welcome());
        std::string asked;
        const auto syncs = [&asked] {
            int found = 0;
            for (auto at = asked.find("S\0\0\0\4"sv); at != asked.npos;
                 at = asked.find("S\0\0\0\4"sv, at + 1))
                ++found;
            return found;
        };
        while (syncs() != 3) {
            const auto more = peer::receive(s);
            if (more.empty())
                return;
            asked += more;
        }
        for (int i = 0; i != 3; ++i)
            peer::send(s, forty_two() + ready());
        peer::receive_all(s);
    });
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(p.conninfo("sslmode=disable"));
        const auto outcomes = co_await conn.pipeline(pg::independent, three_numbers());
        for (const auto& each : outcomes)
            CHECK(each.rows()[0][0].as<int>() == 42);
        CHECK(conn.is_open());
    });
}

TEST_CASE("atomic: a statement that fails undoes the others, and its error says which it is")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table t (i int unique deferrable initially deferred)");
        pg::batch all;
        all.add("insert into t values (1)");
        const auto line = std::source_location::current().line() + 1;
        all.add("insert into t values ($1 / 0)", 1);
        all.add("insert into t values (2)");
        const auto e = co_await failure_of(conn.pipeline(pg::atomic, all));
        CHECK(e.sqlstate() == "22012");
        CHECK(e.where().line() == line);
        CHECK(co_await text_of(conn, "select count(*) from t") == "0");
        pg::batch twice;
        twice.add("insert into t values (1)").add("insert into t values (1)");
        const auto late = co_await failure_of(conn.pipeline(pg::atomic, twice));
        CHECK(late.sqlstate() == "23505");
        CHECK(co_await text_of(conn, "select count(*) from t") == "0");
        CHECK(conn.is_open());
    });
}

TEST_CASE("independent: each statement succeeds or fails by itself")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table t (i int unique deferrable initially deferred)");
        pg::batch all;
        all.add("insert into t values (1)")
            .add("insert into t values ($1 / 0)", 1)
            .add("insert into t values (1)")
            .add("insert into t values (2)");
        const auto outcomes = co_await conn.pipeline(pg::independent, all);
        REQUIRE(outcomes.size() == 4);
        CHECK(outcomes[0].rows().affected_rows() == 1);
        CHECK(outcomes[1].failure().sqlstate() == "22012");
        CHECK_THROWS_AS(outcomes[1].rows(), pg::error);
        REQUIRE(outcomes[2].failed());
        CHECK(outcomes[2].failure().sqlstate() == "23505"); // where it is committed
        CHECK(outcomes[3].rows().affected_rows() == 1);
        CHECK(co_await text_of(conn, "select count(*) from t") == "2");
    });
}

TEST_CASE("a pipeline is read while it is sent, however much there is of both")
{
    for (const std::string mode : {"sslmode=disable", "sslmode=require"}) {
        CAPTURE(mode);
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(server(mode));
            pg::batch all;
            for (int i = 0; i != 200; ++i)
                all.add("select $1::text", std::string(100'000, static_cast<char>('a' + i % 26)));
            const auto results = co_await conn.pipeline(pg::atomic, all);
            const auto outcomes = co_await conn.pipeline(pg::independent, all);
            for (std::size_t i = 0; i != 200; ++i) {
                const char expected = static_cast<char>('a' + i % 26);
                CHECK(results[i][0][0].text() == std::string(100'000, expected));
                CHECK(outcomes[i].rows()[0][0].text() == std::string(100'000, expected));
            }
        });
    }
}

// libpq writes by itself what the socket did not take, whenever it reads. Whether it then has
// nothing left to wait for is a matter of time, so this is tried often; on a new connection, which
// takes less.
TEST_CASE("a pipeline goes on where libpq has written the rest by itself")
{
    pg::batch all;
    for (int i = 0; i != 200; ++i)
        all.add("select $1::text", std::string(100'000, static_cast<char>('a' + i % 26)));
    for (int times = 0; times != 12; ++times) {
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(server("sslmode=disable"));
            const auto results = co_await conn.pipeline(pg::atomic, all);
            const auto outcomes = co_await conn.pipeline(pg::independent, all);
            for (std::size_t i = 0; i != 200; ++i) {
                REQUIRE(results[i].size() == 1);
                REQUIRE(!outcomes[i].failed());
                REQUIRE(outcomes[i].rows().size() == 1);
            }
        });
    }
}

TEST_CASE("a failure in the middle of what is still to be sent ends the rest of an atomic pipeline")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        pg::batch all;
        all.add("select 1 / 0");
        for (int i = 0; i != 200; ++i)
            all.add("select $1::text", std::string(100'000, 'x'));
        const auto e = co_await failure_of(conn.pipeline(pg::atomic, all));
        CHECK(e.sqlstate() == "22012");
        CHECK(co_await text_of(conn, "select 42") == "42");
    });
}

TEST_CASE(
    "the reset of a session goes along with an atomic pipeline, and before an independent one")
{
    link to_server;
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, to_server.connector(),
                {.max_size = 1, .probe_after = loopsafe::never});
        for (const bool apart : {false, true}) {
            CAPTURE(apart);
            {
                auto lease = co_await db.acquire();
                co_await lease->execute("set statement_timeout = 12345");
            }
            auto lease = co_await db.acquire();
            pg::batch all;
            all.add("select 1").add("show statement_timeout");
            const int before = to_server.round_trips();
            if (apart) {
                const auto outcomes = co_await lease->pipeline(pg::independent, all);
                CHECK(outcomes[1].rows()[0][0].text() == "0");
            } else {
                const auto results = co_await lease->pipeline(pg::atomic, all);
                CHECK(results[1][0][0].text() == "0");
                CHECK(to_server.round_trips() - before == 1);
            }
        }
        CHECK(db.stats().connects == 1);
    });
}

TEST_CASE("a reset that is refused costs a new connection, and the pipeline runs once")
{
    run([]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, pg::connector(server()),
                {.max_size = 1, .probe_after = loopsafe::never});
        auto other = co_await connect();
        co_await other.execute("drop table if exists counted");
        co_await other.execute("create table counted (i int)");
        for (const bool apart : {false, true}) {
            CAPTURE(apart);
            {
                auto lease = co_await db.acquire();
                co_await lease->execute("do $$ begin for i in 1..2000 loop execute 'create temp "
                                        "table t' || i || ' (i int)'; end loop; end $$");
                co_await lease->execute("set statement_timeout = 1");
            }
            auto lease = co_await db.acquire();
            const int pid = lease->backend_pid();
            pg::batch all;
            all.add("insert into counted values (1)").add("show statement_timeout");
            if (apart) {
                const auto outcomes = co_await lease->pipeline(pg::independent, all);
                CHECK(outcomes[1].rows()[0][0].text() == "0");
            } else {
                const auto results = co_await lease->pipeline(pg::atomic, all);
                CHECK(results[1][0][0].text() == "0");
            }
            CHECK(lease->backend_pid() != pid);
            CHECK(co_await text_of(other, "select count(*) from counted") == (apart ? "2" : "1"));
        }
        co_await other.execute("drop table counted");
    });
}

TEST_CASE("COPY is refused in a pipeline, and what was answered before is known")
{
    run([]() -> asio::awaitable<void> {
        pg::batch all;
        all.add("select 1").add("copy pg_class to stdout").add("select 2");
        auto conn = co_await connect();
        const auto e = co_await failure_of(conn.pipeline(pg::atomic, all));
        CHECK(e.code() == pg::errc::unsupported);
        CHECK_FALSE(conn.is_open());
        auto another = co_await connect();
        const auto outcomes = co_await another.pipeline(pg::independent, all);
        CHECK(outcomes[0].rows()[0][0].as<int>() == 1);
        CHECK(outcomes[1].failure().code() == pg::errc::unsupported);
        CHECK(outcomes[2].failure().code() == pg::errc::unusable);
        CHECK(outcomes[2].failure().hint() == unknown);
        CHECK_FALSE(another.is_open());
    });
}

TEST_CASE("a connection that is lost in an independent pipeline: what was answered before is known")
{
    run([]() -> asio::awaitable<void> {
        pg::batch all;
        all.add("select 1").add("select pg_terminate_backend(pg_backend_pid())").add("select 2");
        auto conn = co_await connect();
        const auto outcomes = co_await conn.pipeline(pg::independent, all);
        CHECK(outcomes[0].rows()[0][0].as<int>() == 1);
        CHECK(outcomes[1].failure().sqlstate() == "57P01");
        CHECK(outcomes[2].failure().code() == pg::condition::connection_exception);
        CHECK(outcomes[2].failure().hint() == unknown);
        CHECK_FALSE(conn.is_open());
        auto another = co_await connect();
        const auto e = co_await failure_of(another.pipeline(pg::atomic, all));
        CHECK(e.sqlstate() == "57P01");
        CHECK_FALSE(another.is_open());
    });
}

TEST_CASE("an answer whose synchronisation is missing does not count as success")
{
    peer p([](peer::socket& s) {
        peer::receive(s);
        peer::send(s, welcome());
        peer::receive_request(s);
        peer::send(s, forty_two() + ready() + forty_two());
    });
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(p.conninfo("sslmode=disable"));
        pg::batch all;
        all.add("select 42").add("select 42");
        const auto outcomes = co_await conn.pipeline(pg::independent, all);
        CHECK(outcomes[0].rows()[0][0].as<int>() == 42);
        REQUIRE(outcomes[1].failed());
        CHECK(outcomes[1].failure().hint() == unknown);
    });
}

TEST_CASE("a pipeline in a transaction is a part of it")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("create temp table t (i int)");
        const auto fail = [](pg::connection& c) -> asio::awaitable<void> {
            pg::batch all;
            all.add("insert into t values (1)").add("insert into t values (2)");
            co_await c.pipeline(pg::atomic, all);
            co_await c.pipeline(pg::independent, all);
            CHECK(co_await text_of(c, "select count(*) from t") == "4");
            throw std::runtime_error("of the caller's own");
        };
        try {
            co_await conn.transaction(fail);
        } catch (const std::runtime_error&) {
        }
        CHECK(co_await text_of(conn, "select count(*) from t") == "0");
    });
}

TEST_CASE("a cancelled pipeline is cancelled on the server, and the session goes on")
{
    for (const bool apart : {false, true}) {
        CAPTURE(apart);
        const pg::connector connector(server());
        asio::io_context context;
        auto conn = run_on(context, [&] { return connect(connector); });
        run_on(context, [&] { return conn.execute("create temp table t (i int)"); });
        asio::cancellation_signal signal;
        std::exception_ptr ended;
        context.restart();
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                pg::batch all;
                all.add("insert into t values (1)")
                    .add("select pg_sleep(60)")
                    .add("insert into t values (2)");
                if (apart)
                    co_await conn.pipeline(pg::independent, all);
                else
                    co_await conn.pipeline(pg::atomic, all);
            },
            asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { ended = e; }));
        context.poll();
        wait_until_asleep(conn.backend_pid());
        signal.emit(asio::cancellation_type::terminal);
        context.run();
        REQUIRE(ended != nullptr);
        try {
            std::rethrow_exception(ended);
        } catch (const pg::error& e) {
            CHECK(e.code() == asio::error::operation_aborted);
        }
        CHECK(connector.is_clean(conn));
        const auto left = run_on(context, [&] { return text_of(conn, "select count(*) from t"); });
        CHECK(left == (apart ? "2" : "0"));
    }
}

TEST_CASE("half an atomic pipeline is never synchronised, which would commit it")
{
    std::string seen;
    {
        std::promise<void> cancelled;
        peer p([&](peer::socket& s) {
            peer::receive(s);
            peer::send(s, welcome());
            cancelled.get_future().wait();
            seen = peer::receive_all(s);
        });
        asio::io_context context;
        auto conn = run_on(context, [&] { return connect(p.conninfo("sslmode=disable")); });
        asio::cancellation_signal signal;
        context.restart();
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                pg::batch all;
                for (int i = 0; i != 200; ++i)
                    all.add("select $1::text", std::string(100'000, 'x'));
                co_await conn.pipeline(pg::atomic, all);
            },
            asio::bind_cancellation_slot(signal.slot(), [](const std::exception_ptr&) {}));
        context.poll();
        signal.emit(asio::cancellation_type::terminal);
        context.poll();
        CHECK_FALSE(conn.is_open());
        conn.close();
        cancelled.set_value();
    }
    using namespace std::string_view_literals;
    CHECK(seen.size() > 100'000);
    CHECK(seen.find("S\0\0\0\4"sv) == std::string::npos);
}

TEST_CASE("a parameter that no statement can have is refused before anything is sent")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        pg::batch all;
        all.add("select 1").add("select $1::text", std::string("a\0b", 3));
        const auto e = co_await failure_of(conn.pipeline(pg::atomic, all));
        CHECK(e.code() == pg::errc::bad_parameter);
        CHECK(co_await text_of(conn, "select 42") == "42");
    });
}

TEST_SUITE_END();

} // namespace pipeline_tests
