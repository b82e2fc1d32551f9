// SPDX-License-Identifier: BSL-1.0
#include "peer.hpp"
#include "support.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/offloaded_connection_pool.hpp>

#include <future>
#include <support/counting_link.hpp>

namespace late_reset_tests {

namespace {

using namespace std::chrono_literals;
using pool = loopsafe::connection_pool<pg::connector>;

std::uint16_t server_port()
{
    return static_cast<std::uint16_t>(std::stoi(variable("LOOPSAFE_POSTGRES_PORT")));
}

struct link : support::counting_link {
    link() : counting_link(server_port()) {}

    pg::connector connector(pg::connector_options how = {}) const
    {
        return pg::connector(server("sslmode=disable port=" + std::to_string(port())), how);
    }

    // Of one operation.
    template <class Operation>
    asio::awaitable<int> trips_of(Operation operation)
    {
        const int before = round_trips();
        co_await operation();
        co_return round_trips() - before;
    }
};

asio::awaitable<pool> make_pool(pg::connector connector = pg::connector(server()),
                                loopsafe::kept_connection_options limits = {
                                    .max_size = 1, .probe_after = loopsafe::never})
{
    co_return pool(co_await asio::this_coro::executor, std::move(connector), limits);
}

// Leaves behind all that a session can keep, and says which it is.
asio::awaitable<int> leave_traces(pool& db, std::string more = "select 1")
{
    auto lease = co_await db.acquire();
    co_await lease->execute("set statement_timeout = 12345");
    co_await lease->execute("set timezone = 'Asia/Tokyo'");
    co_await lease->execute("create temp table traces (i int)");
    co_await lease->execute("listen somebody");
    co_await lease->query("select $1", 1);
    co_await lease->query("select $1", 1); // prepared
    co_await lease->query("notify somebody");
    co_await lease->query(more);
    co_return lease->backend_pid();
}

asio::awaitable<std::string> text_of(pg::connection& conn, std::string sql)
{
    const auto rows = co_await conn.query(pg::statement(sql).without_preparing());
    co_return std::string(rows[0][0].text());
}

asio::awaitable<void> check_as_new(pg::connection& conn)
{
    CHECK(co_await text_of(conn, "show statement_timeout") == "0");
    CHECK(co_await text_of(conn, "show timezone") != "Asia/Tokyo");
    CHECK(co_await text_of(conn, "select to_regclass('pg_temp.traces') is null") == "t");
    CHECK(co_await text_of(conn, "select count(*) from pg_listening_channels()") == "0");
    CHECK(co_await text_of(conn, "select count(*) from pg_prepared_statements") == "0");
    REQUIRE(conn.native_handle() != nullptr);
    CHECK(PQnotifies(conn.native_handle()) == nullptr);
}

} // namespace

TEST_SUITE_BEGIN("late reset");

TEST_CASE("the first statement of a kept session takes one round trip, whatever it is")
{
    link to_server;
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool(to_server.connector());
        const int pid = co_await leave_traces(db);
        for (const std::string sql : {"select 1", "begin", "vacuum pg_class", "listen somebody",
                                      "set role loopsafe", "create temp table traces (i int)"}) {
            CAPTURE(sql);
            const int trips = co_await to_server.trips_of([&]() -> asio::awaitable<void> {
                auto lease = co_await db.acquire();
                CHECK(lease->backend_pid() == pid);
                co_await lease->execute(sql);
                if (sql == "begin")
                    co_await lease->execute("commit");
            });
            CHECK(trips == (sql == "begin" ? 2 : 1));
        }
        const int in_transaction = co_await to_server.trips_of([&]() -> asio::awaitable<void> {
            auto lease = co_await db.acquire();
            co_await lease->transaction([](pg::connection& c) -> asio::awaitable<void> {
                const auto rows = co_await c.query("select $1 + 1", 41);
                CHECK(rows[0][0].as<int>() == 42);
            });
        });
        CHECK(in_transaction == 3);
        CHECK(db.stats().connects == 1);
    });
}

TEST_CASE("a session lent without waiting is reset by its first statement, too")
{
    link to_server;
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool(to_server.connector());
        co_await leave_traces(db);
        const int trips = co_await to_server.trips_of([&]() -> asio::awaitable<void> {
            auto lease = db.try_acquire(co_await asio::this_coro::executor);
            REQUIRE(lease);
            CHECK(co_await text_of(*lease, "show statement_timeout") == "0");
        });
        CHECK(trips == 1);
    });
}

TEST_CASE("a carried session serves its first statement in one round trip")
{
    link to_server;
    loopsafe::connection_pool<pg::connector, loopsafe::carry_over_pool> db{to_server.connector()};
    for (int i = 0; i != 3; ++i) {
        const int before = to_server.round_trips();
        run([&]() -> asio::awaitable<void> {
            auto lease = co_await db.acquire();
            CHECK(co_await text_of(*lease, "show timezone") != "Asia/Tokyo");
            co_await lease->execute("set timezone = 'Asia/Tokyo'");
        });
        if (i != 0)
            CHECK(to_server.round_trips() - before == 2);
    }
    CHECK(db.stats().connects == 1);
}

TEST_CASE("an offloaded session serves its first statement in one round trip")
{
    link to_server;
    loopsafe::connection_pool<pg::connector, loopsafe::keep_alive_pool, loopsafe::thread_offload>
        db{to_server.connector()};
    for (int i = 0; i != 3; ++i) {
        const int before = to_server.round_trips();
        run([&]() -> asio::awaitable<void> {
            auto lease = co_await db.acquire();
            co_await lease.run([i](auto& c) {
                if (i != 0)
                    CHECK(c->native_handle() == nullptr);
                CHECK(c.wait(text_of(*c, "show timezone")) != "Asia/Tokyo");
                c.wait(c->execute("set timezone = 'Asia/Tokyo'"));
            });
        });
        if (i != 0)
            CHECK(to_server.round_trips() - before == 2);
    }
    CHECK(db.stats().connects == 1);
}

TEST_CASE("a reset has a round trip of its own where a probe is due, or it is told so")
{
    for (const bool probed : {true, false}) {
        CAPTURE(probed);
        link to_server;
        run([&]() -> asio::awaitable<void> {
            auto db = co_await make_pool(to_server.connector({.reset_with_statement = probed}));
            co_await leave_traces(db);
            if (probed)
                db.thaw();
            CHECK(!db.try_acquire(co_await asio::this_coro::executor));
            const int before = to_server.round_trips();
            auto lease = co_await db.acquire();
            CHECK(to_server.round_trips() - before == 1);
            CHECK(lease->native_handle() != nullptr);
            co_await check_as_new(*lease);
        });
    }
}

TEST_CASE("what a session keeps is gone, also if the statement that takes the reset along fails")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool();
        for (const std::string sql :
             {"select 1", "select 1 / 0", "nonsense", "select * from traces"}) {
            CAPTURE(sql);
            const int pid = co_await leave_traces(db);
            auto lease = co_await db.acquire();
            std::string state;
            try {
                co_await lease->query(sql);
            } catch (const pg::error& e) {
                state = e.sqlstate();
                CHECK(e.stage() == pg::stage::query);
            }
            CHECK(state == (sql == "select 1"       ? ""
                            : sql == "select 1 / 0" ? "22012"
                            : sql == "nonsense"     ? "42601"
                                                    : "42P01"));
            co_await check_as_new(*lease);
            CHECK(lease->backend_pid() == pid);
        }
        CHECK(db.stats().connects == 1);
    });
}

TEST_CASE("a first statement that fails only where it is committed has failed")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool();
        {
            auto lease = co_await db.acquire();
            co_await lease->execute("drop table if exists deferred");
            co_await lease->execute(
                "create table deferred (i int unique deferrable initially deferred)");
            co_await lease->execute("insert into deferred values (1)");
        }
        auto lease = co_await db.acquire();
        std::string state;
        try {
            co_await lease->execute("insert into deferred values (1)");
        } catch (const pg::error& e) {
            state = e.sqlstate();
        }
        CHECK(state == "23505");
        CHECK(co_await text_of(*lease, "select count(*) from deferred") == "1");
        co_await lease->execute("drop table deferred");
    });
}

TEST_CASE("names of prepared statements and reported settings of the last user are not used")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool();
        co_await leave_traces(db);
        auto lease = co_await db.acquire();
        const std::string sql = "select '2000-01-01 00:00:00'::timestamptz::text || $1::text";
        const auto first = co_await lease->query("select $1", 1);
        CHECK(first[0][0].as<int>() == 1);
        const auto rows = co_await lease->query(sql, "");
        const auto again = co_await lease->query(sql, "");
        CHECK(rows[0][0].text() == again[0][0].text());
        CHECK(co_await text_of(*lease, "select count(*) from pg_prepared_statements") == "1");
        co_await lease->query("select $1", 1);
        CHECK(co_await text_of(*lease, "select count(*) from pg_prepared_statements") == "2");
    });
}

TEST_CASE("nothing reaches a session that is due for a reset but through it")
{
    link to_server;
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool(to_server.connector());
        const int pid = co_await leave_traces(db);
        {
            auto unused = co_await db.acquire(); // it is due for the next one, too
        }
        auto lease = co_await db.acquire();
        CHECK(lease->native_handle() == nullptr);
        CHECK(lease->backend_pid() == pid);
        CHECK(lease->is_open());
        const int trips = co_await to_server.trips_of([&] { return lease->ready(); });
        CHECK(trips == 1);
        const int none = co_await to_server.trips_of([&] { return lease->ready(); });
        CHECK(none == 0);
        co_await check_as_new(*lease);
        CHECK(lease->backend_pid() == pid);
    });
}

TEST_CASE("a session that was killed before its first statement is replaced")
{
    for (const bool through_ready : {false, true}) {
        CAPTURE(through_ready);
        run([&]() -> asio::awaitable<void> {
            auto db = co_await make_pool();
            co_await leave_traces(db);
            auto lease = co_await db.acquire();
            auto other = co_await connect();
            co_await kill(other, lease->backend_pid());
            if (through_ready)
                co_await lease->ready();
            co_await check_as_new(*lease);
            const auto rows = co_await lease->query("select $1", 42);
            CHECK(rows[0][0].as<int>() == 42);
            lease.release();
            CHECK(db.stats().idle == 1);
        });
    }
}

namespace {

// The last user has left so much that the server takes longer to drop it than that user allowed.
constexpr auto slow_to_reset =
    "do $$ begin for i in 1..2000 loop execute 'create temp table t' || i "
    "|| ' (i int)'; end loop; end $$";

} // namespace

TEST_CASE("a reset that the server refuses costs a new connection, and the statement runs once")
{
    for (const bool through_ready : {false, true}) {
        CAPTURE(through_ready);
        run([&]() -> asio::awaitable<void> {
            auto db = co_await make_pool();
            auto other = co_await connect();
            co_await other.execute("drop table if exists seen");
            co_await other.execute("create table seen (i int)");
            int pid = 0;
            {
                auto lease = co_await db.acquire();
                pid = lease->backend_pid();
                co_await lease->execute(slow_to_reset);
                co_await lease->execute("set statement_timeout = 1");
            }
            auto lease = co_await db.acquire();
            if (through_ready)
                co_await lease->ready();
            co_await lease->execute("insert into seen values ($1)", 1);
            CHECK(lease->backend_pid() != pid);
            CHECK(co_await text_of(other, "select count(*) from seen") == "1");
            co_await check_as_new(*lease);
            lease.release();
            CHECK(db.stats().idle == 1);
            co_await other.execute("drop table seen");
        });
    }
}

// What a server of our own says to a session whose reset is due.

namespace {

constexpr auto limit = 50ms;

// The first message of a caller, and the rest of it at once.
std::string greet(peer::socket& s, std::string_view version = "15.4")
{
    peer::receive(s);
    peer::send(s, welcome(version));
    return peer::receive_request(s);
}

bool asks(const std::string& request, std::string_view what)
{
    return request.find(what) != std::string::npos;
}

// Asks on a session that is due for a reset.
asio::awaitable<int> ask_for_42(const peer& p, std::chrono::milliseconds within = limit,
                                pg::notice_handler on_notice = {})
{
    const pg::connector connector(p.conninfo("sslmode=disable"), {}, std::move(on_notice));
    auto conn = co_await connect(connector);
    REQUIRE(connector.postpone_reset(conn, within));
    const auto rows = co_await conn.query("select 42");
    CHECK(conn.is_open());
    CHECK(connector.is_clean(conn));
    co_return rows[0][0].as<int>();
}

pg::error refused_42(const peer& p)
{
    return thrown<pg::error>([&]() -> asio::awaitable<void> { co_await ask_for_42(p); });
}

} // namespace

TEST_CASE("a server that answers the reset with an error gets the statement on a new connection")
{
    std::string first;
    std::string second;
    peer p(
        [&](peer::socket& s) {
            first = greet(s);
            peer::send(s, failure("ERROR", "XX000") + ready());
            peer::receive_all(s);
        },
        [&](peer::socket& s) {
            second = greet(s);
            peer::send(s, forty_two() + ready());
            peer::receive_all(s);
        });
    CHECK(run([&] { return ask_for_42(p); }) == 42);
    CHECK(asks(first, "discard all"));
    CHECK(asks(first, "select 42"));
    CHECK_FALSE(asks(second, "discard all"));
    CHECK(asks(second, "select 42"));
}

TEST_CASE("a server that answers the reset with an error, and is then not to be reached: its error")
{
    peer p(
        [&](peer::socket& s) {
            greet(s);
            peer::send(s, failure("ERROR", "XX000") + ready());
            peer::receive_all(s);
        },
        [&](peer::socket& s) {
            peer::receive(s);
            peer::send(s, failure("FATAL", "53300"));
        });
    const auto e = refused_42(p);
    CHECK(e.sqlstate() == "53300");
    CHECK(p.callers() == 2);
}

TEST_CASE("a new connection that does not come about within connect_timeout is given up")
{
    peer p(
        [&](peer::socket& s) {
            greet(s);
            peer::send(s, failure("ERROR", "XX000") + ready());
            peer::receive_all(s);
        },
        [&](peer::socket& s) { peer::receive_all(s); });
    const auto e = refused_42(p);
    CHECK(e.code() == asio::error::timed_out);
    CHECK(e.stage() == pg::stage::authenticate);
}

TEST_CASE("a connection that is closed while a new one is made stays closed")
{
    std::promise<void> closed;
    peer p(
        [&](peer::socket& s) {
            greet(s);
            peer::send(s, failure("ERROR", "XX000") + ready());
            peer::receive_all(s);
        },
        [&](peer::socket& s) {
            closed.get_future().wait();
            greet(s);
            peer::receive_all(s);
        });
    const pg::connector connector(p.conninfo("sslmode=disable"));
    asio::io_context context;
    auto conn = run_on(context, [&] { return connect(connector); });
    REQUIRE(connector.postpone_reset(conn, loopsafe::never));
    std::exception_ptr ended;
    context.restart();
    asio::co_spawn(
        context, [&]() -> asio::awaitable<void> { co_await conn.query("select 42"); },
        [&](std::exception_ptr e) { ended = e; });
    while (p.callers() != 2)
        context.poll();
    conn.close();
    closed.set_value();
    context.run();
    REQUIRE(ended != nullptr);
    try {
        std::rethrow_exception(ended);
    } catch (const pg::error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
    }
    CHECK_FALSE(conn.is_open());
    CHECK_FALSE(connector.is_clean(conn));
}

TEST_CASE("a connection that is lost before the reset is answered: no second try, and it is said")
{
    for (const std::string& last_words :
         {std::string(), failure("FATAL", "57P01"), failure("ERROR", "XX000")}) {
        CAPTURE(last_words);
        peer p(
            [&](peer::socket& s) {
                greet(s);
                peer::send(s, last_words);
            },
            [&](peer::socket& s) { peer::receive_all(s); });
        const auto e = refused_42(p);
        CHECK(e.stage() == pg::stage::reset);
        CHECK(e.sqlstate() == (last_words.empty()                            ? ""
                               : last_words.find("57P01") != last_words.npos ? "57P01"
                                                                             : "XX000"));
        if (last_words.empty())
            CHECK(e.code() == pg::condition::connection_exception);
        CHECK(e.hint() == "the statement was sent together with the reset of the session: whether "
                          "it has run is unknown");
        CHECK(p.callers() == 1);
    }
}

TEST_CASE("a server that dies between the reset and the statement: no second try")
{
    peer p(
        [&](peer::socket& s) {
            greet(s);
            peer::send(s, done("DISCARD ALL"));
        },
        [&](peer::socket& s) { peer::receive_all(s); });
    const auto e = refused_42(p);
    CHECK(e.code() == pg::condition::connection_exception);
    CHECK(e.stage() == pg::stage::query);
    CHECK(p.callers() == 1);
}

TEST_CASE("a server that goes silent: an error within connect_timeout, and no second try")
{
    peer p(
        [&](peer::socket& s) {
            greet(s);
            peer::receive_all(s);
        },
        [&](peer::socket& s) { peer::receive_all(s); });
    const auto e = refused_42(p);
    CHECK(e.code() == pg::errc::connection_lost);
    CHECK(e.stage() == pg::stage::reset);
    CHECK(e.server_message() ==
          "the server has not answered within the pool's connect_timeout, 50 ms");
    CHECK(e.hint() == "the statement was sent together with the reset of the session: whether it "
                      "has run is unknown");
    CHECK(p.callers() == 1);
}

TEST_CASE("a statement may take longer than connect_timeout once the reset is answered")
{
    with_connection([](pg::connection&) -> asio::awaitable<void> {
        auto db = co_await make_pool(
            pg::connector(server()),
            {.max_size = 1, .connect_timeout = 50ms, .probe_after = loopsafe::never});
        co_await leave_traces(db);
        auto lease = co_await db.acquire();
        co_await lease->query("select pg_sleep(0.2)");
        co_await check_as_new(*lease);
    });
}

TEST_CASE("notices and notifications of the last user are nobody's, those of the next are his")
{
    using namespace std::string_literals;
    const auto notification = [](std::string_view channel) {
        return message('A', "\0\0\0\7"s.append(channel) + "\0\0"s);
    };
    peer p([&](peer::socket& s) {
        greet(s);
        peer::send(s, notification("old") + failure("NOTICE", "01000") + done("DISCARD ALL"));
        peer::send(s, notification("new") + forty_two() + ready());
        peer::receive_all(s);
    });
    const pg::connector connector(p.conninfo("sslmode=disable"), {},
                                  [](const pg::notice&) { throw std::runtime_error("not mine"); });
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        REQUIRE(connector.postpone_reset(conn, loopsafe::never));
        const auto rows = co_await conn.query("select 42");
        CHECK(rows[0][0].as<int>() == 42);
        // One that comes at once with the answer to the reset may be taken for an old one.
        while (auto* const late = PQnotifies(conn.native_handle())) {
            CHECK(std::string(late->relname) == "new");
            PQfreemem(late);
        }
    });
}

TEST_CASE("servers that would undo the reset if the statement fails get it by itself")
{
    for (const auto& [version, at_once] : {std::pair("14.4", false),
                                           {"14.5", true},
                                           {"13.7", false},
                                           {"13.8", true},
                                           {"12.11", false},
                                           {"12.12", true},
                                           {"11.16", false},
                                           {"11.17", true},
                                           {"10.21", false},
                                           {"10.22", true},
                                           {"9.6.24", false},
                                           {"15.0", true},
                                           {"18beta1", true},
                                           {"", false}}) {
        CAPTURE(version);
        peer p([version = version](peer::socket& s) {
            greet(s, version);
            peer::receive_all(s);
        });
        const pg::connector connector(p.conninfo("sslmode=disable"));
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(connector);
            CHECK(connector.postpone_reset(conn, limit) == at_once);
        });
    }
}

TEST_CASE("COPY is refused where it takes the reset along, as elsewhere")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool();
        co_await leave_traces(db);
        {
            auto lease = co_await db.acquire();
            try {
                co_await lease->query("copy pg_class to stdout");
                FAIL("accepted");
            } catch (const pg::error& e) {
                CHECK(e.code() == pg::errc::unsupported);
            }
            CHECK_FALSE(lease->is_open());
        }
        auto lease = co_await db.acquire();
        co_await check_as_new(*lease);
    });
}

TEST_CASE("a cancelled first statement is cancelled on the server, and the session goes on as new")
{
    const pg::connector connector(server());
    asio::io_context context;
    auto db = run_on(context, [&] { return make_pool(connector); });
    const int pid = run_on(context, [&] { return leave_traces(db); });
    auto lease = run_on(context, [&] { return db.acquire(); });
    asio::cancellation_signal signal;
    std::exception_ptr ended;
    context.restart();
    asio::co_spawn(
        context, [&]() -> asio::awaitable<void> { co_await lease->query("select pg_sleep(60)"); },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { ended = e; }));
    context.poll();
    wait_until_asleep(pid);
    signal.emit(asio::cancellation_type::terminal);
    context.run();
    REQUIRE(ended != nullptr);
    try {
        std::rethrow_exception(ended);
    } catch (const pg::error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
        CHECK(e.stage() == pg::stage::query);
    }
    CHECK(activity(pid) == "idle");
    CHECK(connector.is_clean(*lease));
    run_on(context, [&] { return check_as_new(*lease); });
    CHECK(lease->backend_pid() == pid);
}

TEST_CASE(
    "a first statement with more bytes than the link takes at once goes out while answers come")
{
    run([&]() -> asio::awaitable<void> {
        auto db = co_await make_pool();
        co_await leave_traces(db);
        auto lease = co_await db.acquire();
        const auto rows = co_await lease->query("select length($1)", std::string(20'000'000, 'x'));
        CHECK(rows[0][0].as<int>() == 20'000'000);
        co_await check_as_new(*lease);
    });
}

TEST_SUITE_END();

} // namespace late_reset_tests
