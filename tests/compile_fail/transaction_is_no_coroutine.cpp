// SPDX-License-Identifier: BSL-1.0
// The body of a transaction awaits its statements.
// expect: (use of|call to) deleted (member )?function
// expect: Cure = .*pass_a_coroutine_that_takes_a_connection_by_reference_and_returns_an_awaitable
// expect: ^(?!(?s:.*error: (?!no return)){2})
#include <loopsafe/postgres.hpp>

boost::asio::awaitable<void> clear(loopsafe::postgres::connection& connection)
{
#ifdef LOOPSAFE_TEST_CURE
    const auto body = [](loopsafe::postgres::connection& c) -> boost::asio::awaitable<void> {
        co_await c.execute("delete from points");
    };
#else
    const auto body = [](loopsafe::postgres::connection& c) { return c.is_open(); };
#endif
    co_await connection.transaction(body);
}
