// SPDX-License-Identifier: BSL-1.0
// An optional is sent as what it holds.
// expect: (use of|call to) deleted (member )?function
// expect: Cure = .*specialise_loopsafe_postgres_codec_for<.*point>
// expect: ^(?!(?s:.*error: (?!no return)){2})
#include <loopsafe/postgres.hpp>

struct point {};

#ifdef LOOPSAFE_TEST_CURE
using value = std::optional<int>;
#else
using value = std::optional<point>;
#endif

boost::asio::awaitable<void> draw(loopsafe::postgres::connection& connection, value p)
{
    co_await connection.execute("insert into points values ($1)", p);
}
