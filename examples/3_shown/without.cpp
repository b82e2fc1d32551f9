// SPDX-License-Identifier: BSL-1.0
//
// The zombie story in plain Asio: the second start is a use-after-free, shown by AddressSanitizer.
//
// The worker keeps its connections at namespace scope, as one does in a language where that is
// merely an error. Its first io_context is gone when the second one asks for a connection.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <libpq-fe.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

namespace asio = boost::asio;

struct connection {
    explicit connection(const asio::any_io_executor& executor)
        : session(PQconnectdb(std::getenv("LOOPSAFE_POSTGRES"))), socket(executor)
    {
        if (PQstatus(session) != CONNECTION_OK)
            throw std::runtime_error(PQerrorMessage(session));
        socket.assign(PQsocket(session));
    }
    ~connection()
    {
        socket.release();
        PQfinish(session);
    }
    connection(const connection&) = delete;

    PGconn* session;
    asio::posix::stream_descriptor socket;
};

std::vector<std::unique_ptr<connection>> idle; // the module-level pool

asio::awaitable<void> handler()
{
    std::unique_ptr<connection> c;
    if (idle.empty()) {
        c = std::make_unique<connection>(co_await asio::this_coro::executor);
    } else {
        c = std::move(idle.back());
        idle.pop_back();
    }
    PQsendQuery(c->session, "select 41 + 1");
    while (PQisBusy(c->session)) {
        co_await c->socket.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
        PQconsumeInput(c->session);
    }
    while (PGresult* result = PQgetResult(c->session)) {
        std::printf("answer: %s\n", PQgetvalue(result, 0, 0));
        PQclear(result);
    }
    idle.push_back(std::move(c));
}

void invocation()
{
    asio::io_context context; // fresh each time, often at the address of the last one
    asio::co_spawn(context, handler, [](const std::exception_ptr& error) {
        if (error)
            std::rethrow_exception(error);
    });
    context.run();
}

int main()
{
    if (std::getenv("LOOPSAFE_POSTGRES") == nullptr) {
        std::fprintf(stderr, "LOOPSAFE_POSTGRES is not set: start this through examples/run\n");
        return 2;
    }
    for (int start = 1; start <= 2; ++start) {
        std::printf("start %d\n", start);
        std::fflush(stdout);
        invocation();
    }
}
