// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has an operator new of its own.
//
// Each allocation of the first statement of a lease fails once, while the reset goes along with it.

#include "support.hpp"

#include <loopsafe/connection_pool.hpp>

#include <support/heap.hpp>

namespace {

using pool = loopsafe::connection_pool<pg::connector>;

asio::awaitable<void> use_and_leave(pool& db)
{
    auto lease = co_await db.acquire();
    co_await lease->execute("set statement_timeout = 12345");
}

asio::awaitable<std::string> insert(pool& db, long which)
{
    auto lease = co_await db.acquire();
    const auto rows = co_await lease->query(
        "insert into tries values ($1) returning current_setting('statement_timeout')", which);
    co_return std::string(rows[0][0].text());
}

// Whether the allocation with this number was reached. Nothing is lost if it fails.
bool attempt(long which)
{
    asio::io_context context;
    pool db(context, pg::connector(server("sslmode=disable")), {.max_size = 1});
    run_on(context, [&] { return use_and_leave(db); });
    std::string seen;
    {
        context.restart();
        const heap::watch on(which);
        try {
            asio::co_spawn(
                context,
                [](pool& p, long number, std::string& result) -> asio::awaitable<void> {
                    result = co_await insert(p, number);
                }(db, which, seen),
                [](const std::exception_ptr&) {});
        } catch (const std::bad_alloc&) {
        }
        for (bool more = true; more;) {
            try {
                more = context.run_one() != 0;
            } catch (const std::bad_alloc&) { // a failure of a handler: the context goes on
            }
        }
    }
    const bool reached = heap::allocations > which;
    CHECK((seen == "0" || (reached && seen.empty())));
    CHECK(db.stats().leased == 0);
    CHECK(db.stats().connecting == 0);
    run_on(context, [&]() -> asio::awaitable<void> {
        auto lease = co_await db.acquire();
        const auto rows = co_await lease->query(
            "select count(*), current_setting('statement_timeout') from tries where i = $1", which);
        const auto [ran, setting] = rows.one().as<int, std::string>();
        CHECK(ran == (seen.empty() ? std::min(ran, 1) : 1));
        CHECK(setting == "0");
        CHECK(lease->is_open());
    });
    return reached;
}

} // namespace

TEST_CASE("an allocation that fails in the first statement of a lease loses nothing, and the "
          "statement does not run twice")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("drop table if exists tries");
        co_await conn.execute("create table tries (i bigint)");
    });
    attempt(1'000'000); // what is made once is made
    long which = 0;
    while (attempt(which)) {
        ++which;
        CAPTURE(which);
    }
    CHECK(which > 10);
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("drop table tries");
    });
}
