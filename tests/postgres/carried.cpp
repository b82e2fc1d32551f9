// SPDX-License-Identifier: BSL-1.0
// A thousand invocations, each on a context of its own, as the server's log counts them.

#include <loopsafe/connection_pool.hpp>

#include <fstream>
#include <postgres/support.hpp>

namespace {

constexpr int invocations = 1000;

struct logged {
    int connections = 0;
    int handshakes = 0;
};

// What the server's log says of this application.
logged logged_for(const std::string& application)
{
    logged found;
    std::ifstream log(variable("LOOPSAFE_POSTGRES_LOG"));
    for (std::string line; std::getline(log, line);) {
        line += ' ';
        if (line.find("connection authorized") == std::string::npos ||
            line.find("application_name=" + application + ' ') == std::string::npos)
            continue;
        ++found.connections;
        found.handshakes += line.find("SSL enabled") != std::string::npos ? 1 : 0;
    }
    return found;
}

template <class Policy>
loopsafe::pool_stats thousand_queries(const std::string& application, const std::string& mode,
                                      pg::connector_options how = {})
{
    loopsafe::connection_pool<pg::connector, Policy> pool{
        pg::connector(server("application_name=" + application + " sslmode=" + mode), how)};
    int right = 0;
    for (int i = 0; i != invocations; ++i) {
        right += run([&]() -> asio::awaitable<int> {
            auto lease = co_await pool.acquire();
            const auto rows = co_await lease->query("select $1::int", i);
            co_return rows[0][0].template as<int>() == i ? 1 : 0;
        });
    }
    CHECK(right == invocations);
    return pool.stats();
}

void one_or_a_thousand(const std::string& application, const std::string& mode)
{
    const bool secure = mode == "require";
    const auto carried =
        thousand_queries<loopsafe::carry_over_pool>(application + "_carried", mode);
    CHECK(carried.connects == 1);
    CHECK(carried.adopted == invocations - 1);
    CHECK(carried.closed() == 0);
    const auto one = logged_for(application + "_carried");
    CHECK(one.connections == 1);
    CHECK(one.handshakes == (secure ? 1 : 0));

    const auto fleeting = thousand_queries<loopsafe::null_pool>(application + "_null", mode);
    CHECK(fleeting.connects == invocations);
    const auto thousand = logged_for(application + "_null");
    CHECK(thousand.connections == invocations);
    CHECK(thousand.handshakes == (secure ? invocations : 0));
}

TEST_CASE("carried: a thousand contexts make one session, or a thousand")
{
    one_or_a_thousand("carried_plain", "disable");
}

TEST_CASE("carried: a thousand contexts over TLS make one handshake, or a thousand")
{
    one_or_a_thousand("carried_tls", "require");
}

} // namespace
