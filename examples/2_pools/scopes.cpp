// SPDX-License-Identifier: BSL-1.0
//
// A fan-out that fails half-way: the rest is cancelled and awaited before the error arrives.

#include <loopsafe.hpp>

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Stands for a pool or a client: something that tasks use and that must be closed after them.
struct index_writer {
    asio::awaitable<void> async_close()
    {
        std::puts("the index is flushed and closed");
        co_return;
    }
    void close() {}
    int documents = 0;
};

asio::awaitable<void> index(index_writer& to, int document)
{
    struct leaving {
        int document;
        bool done = false;
        ~leaving() { std::printf("document %d %s\n", document, done ? "is done" : "was given up"); }
    } on_the_way_out{document};
    asio::steady_timer timer(co_await asio::this_coro::executor, 10ms * document);
    co_await timer.async_wait(asio::use_awaitable);
    if (document == 3)
        throw std::runtime_error("document 3 is broken");
    ++to.documents;
    on_the_way_out.done = true;
}

asio::awaitable<void> index_all(index_writer& to)
{
    const auto body = [&to](loopsafe::task_scope& tasks) -> asio::awaitable<void> {
        for (int document = 1; document != 6; ++document)
            tasks.start([&to, document] { return index(to, document); });
        co_return;
    };
    co_await loopsafe::with_tasks(body);
}

int main()
{
    index_writer writer;
    try {
        loopsafe::run([&] { return loopsafe::with(writer, index_all, {.close_within = 1s}); });
    } catch (const std::runtime_error& error) {
        std::printf("error: %s, after %d documents\n", error.what(), writer.documents);
    }
}
