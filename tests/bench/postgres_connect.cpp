// SPDX-License-Identifier: BSL-1.0
// Connecting to PostgreSQL, and hanging up: the connector beside libpq alone, which waits in
// poll().
#include "measure.hpp"
#include "stepping.hpp"

#include <loopsafe/postgres.hpp>

#include <boost/asio/this_coro.hpp>

#include <cstdlib>
#include <memory>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>

namespace {

using namespace bench;
namespace pg = loopsafe::postgres;

constexpr int warm_up = 2;

void require(bool holds, const char* what)
{
    if (!holds)
        throw std::runtime_error(what);
}

struct ours {
    static asio::awaitable<void> connect(const pg::connector& server)
    {
        const auto connection = co_await server.connect(co_await asio::this_coro::executor);
        require(connection.is_open(), "not connected");
    }

    explicit ours(const std::string& conninfo) : server(conninfo) {}
    void operator()() { run(context, connect(server)); }

    asio::io_context context{1};
    pg::connector server;
};

// As libpq's manual says.
struct bare {
    explicit bare(std::string info) : conninfo(std::move(info)) {}

    void operator()() const
    {
        const std::unique_ptr<PGconn, decltype(&PQfinish)> handle(PQconnectStart(conninfo.c_str()),
                                                                  &PQfinish);
        for (auto polled = PGRES_POLLING_WRITING; polled != PGRES_POLLING_OK;
             polled = PQconnectPoll(handle.get())) {
            require(polled != PGRES_POLLING_FAILED, PQerrorMessage(handle.get()));
            pollfd socket{PQsocket(handle.get()), 0, 0};
            socket.events = polled == PGRES_POLLING_READING ? POLLIN : POLLOUT;
            ::poll(&socket, 1, -1);
        }
        require(PQsetnonblocking(handle.get(), 1) == 0, "cannot be made non-blocking");
    }

    std::string conninfo;
};

template <class Subject, class Count>
double counted(const std::string& conninfo, int connects, Count count)
{
    const auto seen = count([&] {
        Subject subject(conninfo);
        for (int i = 0; i != warm_up; ++i)
            subject();
        mark();
        for (int i = 0; i != connects; ++i)
            subject();
        mark();
    });
    return static_cast<double>(seen) / connects;
}

template <class Subject>
double instructions(const std::string& conninfo, int connects)
{
    return counted<Subject>(conninfo, connects,
                            [](auto body) { return count(event::instructions, body); });
}

template <class Subject>
double calls(const std::string& conninfo, long which)
{
    return counted<Subject>(conninfo, 10,
                            [=](auto body) { return count(event::system_calls, body, which); });
}

} // namespace

int main()
{
    const char* const found = std::getenv("LOOPSAFE_POSTGRES");
    require(found != nullptr, "LOOPSAFE_POSTGRES is not set: run this through tests/run --bench");
    const auto added =
        " gssencmode=disable client_encoding=UTF8 fallback_application_name=loopsafe";
    const auto plain = std::string(found) + added + " sslmode=disable";
    const auto secure = std::string(found) + added + " sslmode=require";
    row("instructions of a PostgreSQL connect", instructions<ours>(plain, 10), "instructions",
        instructions<bare>(plain, 10), 1.3);
    row("epoll_ctl of a PostgreSQL connect", calls<ours>(plain, SYS_epoll_ctl), "system calls", 0,
        5);
    row("fcntl of a PostgreSQL connect", calls<ours>(plain, SYS_fcntl), "system calls",
        calls<bare>(plain, SYS_fcntl));
    row("system calls of a PostgreSQL connect", calls<ours>(plain, any_call), "system calls",
        calls<bare>(plain, any_call));
    row("epoll_ctl of a PostgreSQL connect over TLS", calls<ours>(secure, SYS_epoll_ctl),
        "system calls", 0);
    row("system calls of a PostgreSQL connect over TLS", calls<ours>(secure, any_call),
        "system calls", calls<bare>(secure, any_call));
}
