// SPDX-License-Identifier: BSL-1.0
// A parameter of a type that nobody has said how to send.
// expect: (use of|call to) deleted (member )?function
// expect: Cure = .*specialise_loopsafe_postgres_codec_for<.*point>
// expect: ^(?!(?s:.*error: (?!no return)){2})
#include <loopsafe/postgres.hpp>

struct point {
    int x = 0;
    int y = 0;
};

#ifdef LOOPSAFE_TEST_CURE
inline std::string sent(const point& p)
{
    return '(' + std::to_string(p.x) + ',' + std::to_string(p.y) + ')';
}
#else
inline const point& sent(const point& p)
{
    return p;
}
#endif

boost::asio::awaitable<void> draw(loopsafe::postgres::connection& connection, point p)
{
    co_await connection.query("insert into points values ($1, $2)", 1, sent(p));
}
