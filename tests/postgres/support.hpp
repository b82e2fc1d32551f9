// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_POSTGRES_SUPPORT_HPP
#define LOOPSAFE_TESTS_POSTGRES_SUPPORT_HPP

#include <loopsafe/postgres.hpp>

#include <boost/asio.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <support/descriptors.hpp>
#include <type_traits>
#include <utility>

namespace asio = boost::asio;
namespace pg = loopsafe::postgres;

inline std::string variable(const char* name)
{
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0')
        throw std::runtime_error(std::string(name) +
                                 " is not set: run this through tests/tools/with_postgres");
    return value;
}

// The server's connection string; what is added at the end counts.
inline std::string server(const std::string& more = {})
{
    return variable("LOOPSAFE_POSTGRES") + ' ' + more;
}

// Runs a coroutine to its end, and what it leaves on the context, which may be used again.
inline void run_all(asio::io_context& context, asio::awaitable<void> operation)
{
    std::exception_ptr failure;
    bool ended = false;
    context.restart();
    asio::co_spawn(context, std::move(operation), [&](std::exception_ptr e) {
        failure = e;
        ended = true;
    });
    context.run();
    REQUIRE(ended);
    if (failure)
        std::rethrow_exception(failure);
}

template <class Body>
auto run_on(asio::io_context& context, Body body)
{
    using value_type = typename std::invoke_result_t<Body&>::value_type;
    if constexpr (std::is_void_v<value_type>) {
        run_all(context, body());
    } else {
        std::optional<value_type> value;
        run_all(context, [](Body& b, std::optional<value_type>& v) -> asio::awaitable<void> {
            v.emplace(co_await b());
        }(body, value));
        return *std::move(value);
    }
}

template <class Body>
auto run(Body body)
{
    asio::io_context context;
    return run_on(context, std::move(body));
}

inline asio::awaitable<pg::connection> connect(pg::connector connector)
{
    co_return co_await connector.connect(co_await asio::this_coro::executor);
}

inline asio::awaitable<pg::connection> connect(std::string conninfo = server())
{
    return connect(pg::connector(conninfo));
}

// Runs a body with a connection of its own.
template <class Body>
void with_connection(Body body)
{
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect();
        co_await body(conn);
    });
}

// The exception of that type that a coroutine ends with.
template <class Error, class Body>
Error thrown_on(asio::io_context& context, Body body)
{
    try {
        run_on(context, std::move(body));
    } catch (const Error& e) {
        return e;
    }
    throw std::logic_error("nothing was thrown");
}

template <class Error, class Body>
Error thrown(Body body)
{
    asio::io_context context;
    return thrown_on<Error>(context, std::move(body));
}

inline pg::error refused(std::string conninfo)
{
    return thrown<pg::error>([&]() -> asio::awaitable<void> { co_await connect(conninfo); });
}

// Blocks until something has arrived for an idle connection.
inline void await_input(const pg::connection& conn)
{
    pollfd descriptor{.fd = PQsocket(conn.native_handle()), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&descriptor, 1, -1) == 1);
}

// As psql's \watch: asks until the answer is true. (GCC 12 miscompiles a co_await in a condition.)
inline asio::awaitable<void> until(pg::connection& conn, std::string condition, int parameter)
{
    for (;;) {
        const auto answer = co_await conn.query(condition, parameter);
        if (answer[0][0].as<bool>())
            co_return;
    }
}

// Ends another session of the same user, and returns when its process is gone.
inline asio::awaitable<void> kill(pg::connection& by, int backend)
{
    co_await by.query("select pg_terminate_backend($1)", backend);
    co_await until(by, "select not exists (select from pg_stat_activity where pid = $1)", backend);
}

// What the server does in this session, by its own account.
inline std::string activity(int pid)
{
    return run([&]() -> asio::awaitable<std::string> {
        auto other = co_await connect();
        const auto rows =
            co_await other.query("select state from pg_stat_activity where pid = $1", pid);
        co_return rows.empty() ? "gone" : rows[0][0].as<std::string>();
    });
}

inline void wait_until_asleep(int pid)
{
    run([&]() -> asio::awaitable<void> {
        auto other = co_await connect();
        for (bool asleep = false; !asleep;) {
            const auto rows = co_await other.query(
                "select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'", pid);
            asleep = !rows.empty();
        }
    });
}

#endif
