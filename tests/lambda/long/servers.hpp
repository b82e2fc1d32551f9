// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LAMBDA_LONG_SERVERS_HPP
#define LOOPSAFE_TESTS_LAMBDA_LONG_SERVERS_HPP

#include <loopsafe/postgres.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <support/tls_peer.hpp>
#include <sys/time.h>
#include <utility>
#include <vector>

namespace lambda_long {

namespace asio = boost::asio;

/// What the function asks: an HTTPS server and PostgreSQL, which both end what is idle too long.
class servers {
public:
    static constexpr int idle_ms = 100;

    explicit servers(const std::string& function)
        : function_(function), monitor_(loopsafe::testing::run_on(context_, connect()))
    {
        web_.serve([this](tls_peer::caller& c) { answer(c); });
    }

    std::vector<std::pair<std::string, std::string>> environment() const
    {
        return {{"LOOPSAFE_POSTGRES",
                 postgres() + " application_name=" + function_ +
                     " options='-c idle_session_timeout=" + std::to_string(idle_ms) + "'"},
                {"LOOPSAFE_HTTPS", "https://localhost:" + web_.port() + "/"},
                {"LOOPSAFE_HTTPS_ROOT", web_.root_file()}};
    }

    /// Returns when they have no connection of the function any more.
    void await_idle()
    {
        for (int ended = ended_; ended != connects_; ended = ended_)
            ended_.wait(ended);
        while (number("select count(*) from pg_stat_activity where application_name = '" +
                      function_ + "'") != 0) {}
    }

    int web_connects() const noexcept { return connects_; }
    /// Callers who left without a word, before their time was up.
    int web_broken() const noexcept { return broken_; }
    /// The same of PostgreSQL.
    long sessions_abandoned()
    {
        return number("select sessions_abandoned from pg_stat_database "
                      "where datname = current_database()");
    }

private:
    static std::string postgres()
    {
        const char* const to = std::getenv("LOOPSAFE_POSTGRES");
        if (to == nullptr)
            throw std::runtime_error("run this through tests/tools/with_postgres");
        return to;
    }

    asio::awaitable<loopsafe::postgres::connection> connect()
    {
        const loopsafe::postgres::connector connector(postgres());
        co_return co_await connector.connect(co_await asio::this_coro::executor);
    }

    long number(std::string query)
    {
        const auto ask = [](loopsafe::postgres::connection& by,
                            std::string what) -> asio::awaitable<long> {
            const auto rows = co_await by.query(what);
            co_return rows[0][0].as<long>();
        };
        return loopsafe::testing::run_on(context_, ask(monitor_, std::move(query)));
    }

    void answer(tls_peer::caller& c)
    {
        ++connects_;
        const ::timeval idle{0, idle_ms * 1000};
        ::setsockopt(c.socket().native_handle(), SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
        std::string seen;
        for (;;) {
            const auto some = c.read();
            if (some.empty())
                break;
            seen += some;
            if (!seen.ends_with("\r\n\r\n"))
                continue;
            seen.clear();
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
        const bool is_idle = c.why() == SSL_ERROR_WANT_READ;
        if (is_idle)
            c.say_goodbye();
        else if (c.why() != SSL_ERROR_ZERO_RETURN)
            ++broken_;
        ++ended_; // what is frozen does not hang up
        ended_.notify_all();
    }

    std::string function_;
    std::atomic<int> connects_{0};
    std::atomic<int> broken_{0};
    std::atomic<int> ended_{0};
    tls_peer web_;
    asio::io_context context_{1};
    loopsafe::postgres::connection monitor_;
};

} // namespace lambda_long

#endif
