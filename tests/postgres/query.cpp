// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "peer.hpp"
#include "support.hpp"

#include <future>

namespace query_tests {

TEST_SUITE_BEGIN("query");

TEST_CASE("a parameter goes out typed and its answer comes back typed")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await conn.query("select $1::int + 1", 41);
        CHECK(rows.size() == 1);
        CHECK(rows[0][0].as<int>() == 42);
    });
}

TEST_CASE("execute gives the number of rows concerned")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        CHECK(co_await conn.execute("create temp table t (i int)") == 0);
        CHECK(co_await conn.execute("insert into t select generate_series(1, $1)", 7) == 7);
        CHECK(co_await conn.execute("update t set i = -i where i > $1", 5) == 2);
        CHECK(co_await conn.execute("delete from t") == 7);
    });
}

TEST_CASE("an empty statement gives an empty result")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await conn.query("");
        CHECK(rows.empty());
        CHECK(rows.columns() == 0);
        CHECK(rows.affected_rows() == 0);
    });
}

TEST_CASE("a hundred thousand rows arrive complete and in order")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await conn.query("select i, repeat('x', i % 100) "
                                              "from generate_series(0, 99999) i order by i");
        REQUIRE(rows.size() == 100'000);
        int wrong = 0;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            wrong += rows[i][0].as<std::size_t>() != i;
            wrong += rows[i][1].text().size() != i % 100;
        }
        CHECK(wrong == 0);
    });
}

TEST_CASE("a parameter of ten megabytes goes out and comes back")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        std::string text(10'000'000, 'a');
        for (std::size_t i = 0; i < text.size(); i += 1001)
            text[i] = static_cast<char>('b' + i % 20);
        const auto rows = co_await conn.query("select $1::text", text);
        CHECK((rows[0][0].text() == text));
    });
}

TEST_CASE("a parameter that the server does not take yet does not hold up the context")
{
    std::promise<void> turned;
    std::size_t received = 0;
    {
        peer p([&](peer::socket& s) {
            peer::receive(s);
            peer::send(s, welcome());
            turned.get_future().wait();
            while (received < 10'000'000)
                received += peer::receive(s).size();
        });
        asio::io_context context;
        auto conn = run_on(context, [&] { return connect(p.conninfo("sslmode=disable")); });
        const auto e = thrown_on<pg::error>(context, [&]() -> asio::awaitable<void> {
            asio::post(context, [&] { turned.set_value(); });
            co_await conn.query("select $1", std::string(10'000'000, 'a'));
        });
        CHECK(e.code() == pg::condition::connection_exception);
    }
    CHECK(received >= 10'000'000);
}

TEST_CASE("statement and parameters need not outlive the call")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        auto pending = conn.query(std::string("select $1 || ") + "$2", std::string(100, 'a'),
                                  std::string(100, 'b'));
        const auto rows = co_await std::move(pending);
        CHECK(rows[0][0].text() == std::string(100, 'a') + std::string(100, 'b'));
    });
}

TEST_CASE("two statements in one text are refused")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        try {
            co_await conn.query("select 1; select 2");
            FAIL("accepted");
        } catch (const pg::error& e) {
            CHECK(e.sqlstate() == "42601");
        }
        CHECK((co_await conn.query("select 3"))[0][0].as<int>() == 3);
    });
}

TEST_CASE("two connections work at once on one context")
{
    asio::io_context context;
    auto first = run_on(context, [] { return connect(); });
    auto second = run_on(context, [] { return connect(); });
    const auto lock = [](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.query("select pg_advisory_lock(7)");
    };
    run_on(context, [&] { return lock(first); });

    int order = 0;
    int waited = 0;
    int released = 0;
    context.restart();
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            co_await lock(second);
            waited = ++order;
        },
        asio::detached);
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            co_await until(first,
                           "select exists (select from pg_locks where pid = $1 and not granted)",
                           second.backend_pid());
            released = ++order;
            co_await first.query("select pg_advisory_unlock(7)");
        },
        asio::detached);
    context.run();
    CHECK(released == 1);
    CHECK(waited == 2);
}

TEST_CASE("a second operation at the same time is refused and does the first no harm")
{
    asio::io_context context;
    const pg::connector connector(server());
    auto conn = run_on(context, [&] { return connect(connector); });
    std::optional<int> first;
    std::optional<pg::error> second;
    context.restart();
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            first = (co_await conn.query("select 1"))[0][0].as<int>();
        },
        asio::detached);
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            try {
                co_await conn.query("select 2");
            } catch (const pg::error& e) {
                second = e;
            }
        },
        asio::detached);
    context.run();
    CHECK(first == 1);
    REQUIRE(second.has_value());
    CHECK(second->code() == pg::errc::busy);
    CHECK(connector.is_clean(conn));
}

TEST_CASE("COPY is refused, and what it leaves behind cannot be used")
{
    const pg::connector connector(server());
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        try {
            co_await conn.query("copy (select 1) to stdout");
            FAIL("accepted");
        } catch (const pg::error& e) {
            CHECK(e.code() == pg::errc::unsupported);
        }
        CHECK_FALSE(connector.is_clean(conn));
        CHECK_FALSE(conn.is_open());
        try {
            co_await conn.query("select 1");
            FAIL("accepted");
        } catch (const pg::error& e) {
            CHECK(e.code() == pg::errc::unusable);
        }
    });
}

TEST_SUITE_END();

} // namespace query_tests
