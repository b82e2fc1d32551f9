// SPDX-License-Identifier: BSL-1.0
//
// Which pool for which program: runs every row, and prints the table of the README.

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>

#include <boost/asio/detached.hpp>

#include <cstdio>
#include <functional>
#include <optional>

namespace asio = boost::asio;
using asio::ip::tcp;
using loopsafe::tcp_connector;
using strict_pool = loopsafe::connection_pool<tcp_connector>;
using null_pool = loopsafe::connection_pool<tcp_connector, loopsafe::null_pool>;
using shelf_pool = loopsafe::connection_pool<tcp_connector, loopsafe::per_context_pool>;
using carry_pool = loopsafe::connection_pool<tcp_connector, loopsafe::carry_over_pool>;

// The peer's context is never run: the kernel completes the connects.
asio::io_context peer_context;
tcp::acceptor peer(peer_context, {asio::ip::address_v4::loopback(), 0});
const tcp_connector to_peer(peer.local_endpoint());

template <class Pool>
asio::awaitable<void> two_calls(Pool& pool)
{
    for (int call = 0; call < 2; ++call) {
        try {
            auto lease = co_await pool.acquire();
            lease.release(); // bare TCP is carried over only then
        } catch (const loopsafe::context_error&) {
        }
    }
}

template <class Pool>
void row(const char* program, const char* contexts, const char* choice, const Pool& pool)
{
    const auto seen = pool.stats();
    std::printf("| %s | %s | %s | %llu | %llu | %llu |\n", program, contexts, choice,
                static_cast<unsigned long long>(seen.acquired),
                static_cast<unsigned long long>(seen.connects),
                static_cast<unsigned long long>(seen.refused));
}

int main()
{
    std::puts("| your program | its contexts | pool | served | connects | refused |\n"
              "| --- | --- | --- | --- | --- | --- |");
    {
        asio::io_context context;
        strict_pool pool{context, to_peer};
        for (int request = 0; request < 3; ++request)
            asio::co_spawn(context, two_calls(pool), asio::detached);
        context.run();
        row("long-running server", "one, for ever", "`keep_alive_pool`", pool);
    }
    {
        loopsafe::runner runner;
        strict_pool pool{runner.get_executor(), to_peer};
        for (int request = 0; request < 3; ++request)
            runner.run([&] { return two_calls(pool); });
        row("API behind a kept loop", "one `runner`, many calls", "`keep_alive_pool`", pool);
    }
    {
        std::optional<strict_pool> pool;
        for (int invocation = 0; invocation < 3; ++invocation)
            loopsafe::run([&]() -> asio::awaitable<void> {
                if (!pool)
                    pool.emplace(co_await asio::this_coro::executor, to_peer);
                co_await two_calls(*pool);
            });
        row("worker with a loop per invocation", "a fresh one each time",
            "`keep_alive_pool`: the mistake", *pool);
    }
    {
        null_pool pool{to_peer};
        for (int invocation = 0; invocation < 3; ++invocation)
            loopsafe::run([&] { return two_calls(pool); });
        row("worker with a loop per invocation", "a fresh one each time", "`null_pool`", pool);
    }
    {
        carry_pool pool{to_peer};
        for (int invocation = 0; invocation < 3; ++invocation)
            loopsafe::run([&] { return two_calls(pool); });
        row("worker with a loop per invocation", "a fresh one each time", "`carry_over_pool`",
            pool);
    }
    {
        shelf_pool pool{to_peer};
        for (int loop = 0; loop < 3; ++loop)
            loopsafe::run([&] { return two_calls(pool); });
        row("script that runs several loops", "one after another", "`per_context_pool`", pool);
    }
}
