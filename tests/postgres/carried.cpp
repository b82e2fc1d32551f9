// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// A thousand invocations, each on a context of its own, as the server's log counts them.

#include <loopsafe/connection_pool.hpp>

#include <fcntl.h>
#include <fstream>
#include <optional>
#include <postgres/support.hpp>
#include <sys/resource.h>
#include <unistd.h>

// UBSan looks at an object through a pipe, and without one says that it is none. It gets its pipe
// in spite of the limit that a test has set; nothing else here asks for one.
extern "C" int pipe(int ends[2]) noexcept
{
    if (::pipe2(ends, 0) == 0)
        return 0;
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const ::rlimit lifted{limit.rlim_max, limit.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lifted);
    const int result = ::pipe2(ends, 0);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return result;
}

namespace carried_tests {

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

TEST_CASE("carried: a session that finds no descriptor in the next context is closed and counted")
{
    using loopsafe::close_reason;
    loopsafe::connection_pool<pg::connector, loopsafe::carry_over_pool> pool{
        pg::connector(server())};
    const auto ask = [&]() -> asio::awaitable<int> {
        auto lease = co_await pool.acquire();
        const auto rows = co_await lease->query("select 42");
        co_return rows[0][0].template as<int>();
    };
    REQUIRE(run(ask) == 42);
    REQUIRE(pool.stats().parked == 1);
    const auto before = open_descriptors();
    {
        asio::io_context context;
        asio::steady_timer reactor(context); // and all that it wants to open
        {
            const descriptors_exhausted none;
            CHECK_THROWS_AS(run_on(context, ask), pg::error);
        }
        CHECK(pool.stats().closed(close_reason::not_attached) == 1);
        CHECK(pool.stats().dropped == 1);
        CHECK(pool.stats().parked == 0);
        CHECK(run_on(context, ask) == 42);
    }
    CHECK(pool.stats().connects == 2);
    CHECK(open_descriptors() == before);
}

TEST_CASE("carried: what a session has set for itself does not reach its next user")
{
    loopsafe::connection_pool<pg::connector, loopsafe::carry_over_pool> pool{
        pg::connector(server())};
    run([&]() -> asio::awaitable<void> {
        auto lease = co_await pool.acquire();
        co_await lease->execute("set application_name = 'somebody'");
    });
    run([&]() -> asio::awaitable<void> {
        auto lease = co_await pool.acquire();
        const auto rows = co_await lease->query("show application_name");
        CHECK(rows[0][0].template as<std::string>() == "loopsafe");
    });
    CHECK(pool.stats().connects == 1);
}

TEST_CASE("carried: a session in a transaction, a failed one or the middle of a query is not")
{
    loopsafe::connection_pool<pg::connector, loopsafe::carry_over_pool> pool{
        pg::connector(server())};
    const auto in_a_context_that_dies = [&](std::vector<const char*> texts, int handlers) {
        asio::io_context context;
        asio::co_spawn(
            context,
            [](auto& p, std::vector<const char*> statements) -> asio::awaitable<void> {
                auto lease = co_await p.acquire();
                for (const auto* sql : statements)
                    co_await lease->query(sql);
            }(pool, std::move(texts)),
            [](const std::exception_ptr&) {});
        if (handlers == 0)
            context.run();
        while (handlers-- != 0 && pool.stats().leased == 0)
            context.run_one();
    };
    in_a_context_that_dies({"begin"}, 0);
    CHECK(pool.stats().closed(loopsafe::close_reason::dirty) == 1);
    in_a_context_that_dies({"begin", "select 1 / 0"}, 0);
    CHECK(pool.stats().closed(loopsafe::close_reason::dirty) == 2);
    in_a_context_that_dies({"select pg_sleep(60)"}, 1000);
    CHECK(pool.stats().closed(loopsafe::close_reason::context_died) == 1);
    CHECK(pool.stats().times_parked == 0);
    in_a_context_that_dies({"select 1 / 0"}, 0);
    CHECK(pool.stats().parked == 1);
}

TEST_CASE("carried: a session that the server has ended while it was parked is dropped")
{
    loopsafe::connection_pool<pg::connector, loopsafe::carry_over_pool> pool{
        pg::connector(server())};
    int victim = 0;
    int descriptor = -1;
    run([&]() -> asio::awaitable<void> {
        auto lease = co_await pool.acquire();
        victim = lease->backend_pid();
        descriptor = PQsocket(lease->native_handle());
    });
    loopsafe::connection_pool<pg::connector, loopsafe::null_pool> other{pg::connector(server())};
    run([&]() -> asio::awaitable<void> {
        auto lease = co_await other.acquire();
        co_await lease->query("select pg_terminate_backend($1)", victim);
    });
    ::pollfd told{descriptor, POLLIN, 0};
    REQUIRE(::poll(&told, 1, -1) == 1);
    run([&]() -> asio::awaitable<void> {
        auto lease = co_await pool.acquire();
        CHECK(lease->backend_pid() != victim);
    });
    CHECK(pool.stats().closed(loopsafe::close_reason::probe_failed) == 1);
    CHECK(pool.stats().connects == 2);
}

TEST_CASE("carried: a parked session is closed when it is dropped, whoever still refers to it")
{
    loopsafe::connection_pool<pg::connector, loopsafe::carry_over_pool> pool{
        pg::connector(server())};
    std::optional<asio::awaitable<pg::result>> never_begun;
    const auto before = open_descriptors();
    run([&]() -> asio::awaitable<void> {
        auto lease = co_await pool.acquire();
        never_begun.emplace(lease->query("select 1"));
    });
    REQUIRE(pool.stats().parked == 1);
    pool.drop_parked();
    CHECK(open_descriptors() == before);
}

} // namespace

} // namespace carried_tests
