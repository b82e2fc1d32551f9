// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <memory>
#include <thread>

namespace context_tests {

namespace {

using loopsafe::context_error;

// What the server last heard of a session.
std::string heard(pg::connection& by, asio::io_context& context, int backend)
{
    return run_on(context, [&]() -> asio::awaitable<std::string> {
        const auto rows = co_await by.query("select query || state_change::text from "
                                            "pg_stat_activity where pid = $1",
                                            backend);
        co_return rows.one()[0].as<std::string>();
    });
}

asio::awaitable<void> select(pg::connection& conn)
{
    co_await conn.query("select 1");
}

} // namespace

TEST_SUITE_BEGIN("context");

TEST_CASE("a connection is refused by a second io_context before a byte is sent")
{
    const pg::connector connector(server());
    asio::io_context home;
    asio::io_context other;
    auto conn = run_on(home, [&] { return connect(connector); });
    auto observer = run_on(home, [] { return connect(); });
    run_on(home, [&] { return select(conn); });
    const auto before = heard(observer, home, conn.backend_pid());

    const auto e = thrown_on<context_error>(other, [&] { return select(conn); });
    CHECK(e.code() == loopsafe::errc::wrong_context);
    CHECK(e.report().resource == "postgres connection");
    CHECK(e.report().operation == "query");
    CHECK(std::string_view(e.report().used.file_name()).ends_with("context.cpp"));
    CHECK(e.report().home.number == conn.home().id().number());
    CHECK(e.report().asked.number == loopsafe::context_of(other).id().number());
    const auto transaction = thrown_on<context_error>(other, [&]() -> asio::awaitable<void> {
        co_await conn.transaction([](pg::connection& c) { return select(c); });
    });
    CHECK(transaction.report().operation == "transaction");
    const auto reset = thrown_on<context_error>(other, [&] { return connector.reset(conn); });
    CHECK(reset.report().operation == "reset");

    CHECK(heard(observer, home, conn.backend_pid()) == before);
    CHECK(connector.is_clean(conn));
    run_on(home, [&] { return select(conn); });
    CHECK(heard(observer, home, conn.backend_pid()) != before);
}

TEST_CASE("a connection is refused in mid-query by a second io_context, and the query goes on")
{
    asio::io_context home;
    auto conn = run_on(home, [] { return connect(); });
    std::optional<int> answer;
    home.restart();
    asio::co_spawn(
        home,
        [&]() -> asio::awaitable<void> {
            answer = (co_await conn.query("select 5"))[0][0].as<int>();
        },
        asio::detached);
    home.run_one();
    asio::io_context other;
    CHECK(thrown_on<context_error>(other, [&] { return select(conn); }).code() ==
          loopsafe::errc::wrong_context);
    home.run();
    CHECK(answer == 5);
}

TEST_CASE("a connection is made only on the context that asks for it")
{
    asio::io_context home;
    asio::io_context other;
    const auto e = thrown_on<context_error>(other, [&]() -> asio::awaitable<void> {
        co_await pg::connector(server()).connect(home.get_executor());
    });
    CHECK(e.code() == loopsafe::errc::wrong_context);
    CHECK(e.report().resource == "postgres connector");
}

TEST_CASE("a connection whose context is gone refuses, and can be destroyed")
{
    const pg::connector connector(server());
    const auto before = open_descriptors();
    {
        auto home = std::make_unique<asio::io_context>();
        auto conn = run_on(*home, [&] { return connect(connector); });
        auto moved = run_on(*home, [&] { return connect(connector); });
        home.reset();
        asio::io_context other;
        const auto e = thrown_on<context_error>(other, [&] { return select(conn); });
        CHECK(e.code() == loopsafe::errc::context_closed);
        CHECK_FALSE(e.report().home.alive);
        CHECK(connector.is_clean(conn));
        conn = std::move(moved);
        conn.close();
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("a connection is destroyed on another thread while its context lives")
{
    const auto before = open_descriptors();
    {
        asio::io_context home;
        auto conn = std::make_optional(run_on(home, [] { return connect(); }));
        std::thread([&] { conn.reset(); }).join();
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("a connection destroyed in mid-query aborts the query")
{
    asio::io_context home;
    auto conn = std::make_optional(run_on(home, [] { return connect(); }));
    std::optional<pg::error> failure;
    home.restart();
    asio::co_spawn(
        home,
        [&]() -> asio::awaitable<void> {
            try {
                co_await conn->query("select pg_sleep(600)");
            } catch (const pg::error& e) {
                failure = e;
            }
        },
        asio::detached);
    home.poll();
    conn.reset();
    home.run();
    REQUIRE(failure.has_value());
    CHECK(failure->code() == asio::error::operation_aborted);
}

TEST_CASE("a connection works on a strand of a context with several threads")
{
    asio::thread_pool pool(2);
    std::optional<int> answer;
    {
        auto strand = asio::make_strand(pool);
        asio::co_spawn(
            strand,
            [&]() -> asio::awaitable<void> {
                auto conn = co_await connect();
                answer = (co_await conn.query("select 6"))[0][0].as<int>();
            },
            asio::detached);
    }
    pool.join();
    CHECK(answer == 6);
}

TEST_CASE("a result outlives its connection and its context")
{
    const auto rows = run([]() -> asio::awaitable<pg::result> {
        auto conn = co_await connect();
        co_return co_await conn.query("select 8");
    });
    CHECK(rows[0][0].as<int>() == 8);
}

TEST_SUITE_END();

} // namespace context_tests
