// SPDX-License-Identifier: BSL-1.0
//
// One query over a lease: a parameter goes in, typed rows come out.

#include <loopsafe.hpp>
#include <loopsafe/postgres.hpp>

#include <cstdio>
#include <cstdlib>

namespace asio = boost::asio;

asio::awaitable<bool> squares(loopsafe::postgres::connector server)
{
    loopsafe::connection_pool pool{co_await asio::this_coro::executor, server};
    auto lease = co_await pool.acquire();
    auto rows = co_await lease->query("select n, n * n from generate_series(1, $1::int) n", 3);
    for (const auto row : rows) {
        const auto [n, square] = row.as<int, int>();
        std::printf("%d * %d = %d\n", n, n, square);
    }
    co_return rows.size() == 3;
}

int main()
{
    const char* conninfo = std::getenv("LOOPSAFE_POSTGRES"); // "host=... user=... dbname=..."
    if (conninfo == nullptr) {
        std::fputs("LOOPSAFE_POSTGRES is not set: start this through examples/run\n", stderr);
        return 2;
    }
    return loopsafe::run([&] { return squares(loopsafe::postgres::connector(conninfo)); }) ? 0 : 1;
}
