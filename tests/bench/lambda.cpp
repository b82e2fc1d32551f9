// SPDX-License-Identifier: BSL-1.0
// A warm invocation, beside two exchanges by hand on Beast; what an acquire and a GET cost inside
// of one; how long a function needs from its start to its first /next, and how large it is.
#include "callgrind.hpp"
#include "http_peers.hpp"
#include "lambda_peer.hpp"
#include "measure.hpp"
#include "warm_pool.hpp"

#include <loopsafe/http.hpp>
#include <loopsafe/lambda.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <spawn.h>
#include <string>
#include <string_view>
#include <valgrind/callgrind.h>

namespace {

using namespace bench;
namespace lambda = loopsafe::lambda;

constexpr int counted = 100;
constexpr int warm_up = 20;

void toggle()
{
    CALLGRIND_TOGGLE_COLLECT;
}

lambda::runtime_options options(unsigned short port)
{
    return {.endpoint = "127.0.0.1:" + std::to_string(port), .ends_on_sigterm = false};
}

// From one call of the handler to another, so that each invocation counts as a whole.
void invocations(unsigned short port)
{
    lambda::runtime runtime(options(port));
    int seen = 0;
    runtime.serve([&](lambda::invocation& in) -> asio::awaitable<std::string> {
        if (seen == warm_up || seen == warm_up + counted)
            toggle();
        if (seen++ == warm_up + counted)
            runtime.stop();
        co_return std::string(in.event());
    });
}

// A loop of one's own over Beast's parser, and text for requests.
class two_exchanges {
public:
    two_exchanges(const executor_type& executor, unsigned short port)
        : socket_(connected(executor, {.port = port}))
    {
    }

    awaitable_type run()
    {
        for (int i = 0; i <= warm_up + counted; ++i) {
            co_await asio::async_write(socket_, asio::buffer(next), direct);
            const auto event = co_await read();
            if (i == warm_up || i == warm_up + counted)
                toggle();
            const auto id = event["Lambda-Runtime-Aws-Request-Id"];
            std::string request = "POST /2018-06-01/runtime/invocation/";
            request.append(id.data(), id.size());
            request += "/response HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ";
            request += std::to_string(event.body().size()) + "\r\n\r\n" + event.body();
            co_await asio::async_write(socket_, asio::buffer(request), direct);
            const auto answer = co_await read();
            require(answer.result_int() == 202);
        }
    }

private:
    using response = beast_http::response<beast_http::string_body>;

    asio::awaitable<response, executor_type> read()
    {
        beast_http::response_parser<beast_http::string_body> parser;
        parser.eager(true);
        while (!parser.is_done()) {
            if (buffer_.size() != 0) {
                beast::error_code ec;
                buffer_.consume(parser.put(buffer_.data(), ec));
                require(!ec || ec == beast_http::error::need_more);
                if (parser.is_done())
                    break;
            }
            buffer_.commit(co_await socket_.async_read_some(buffer_.prepare(8192), direct));
        }
        co_return parser.release();
    }

    static constexpr std::string_view next =
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

    direct_socket socket_;
    beast::flat_buffer buffer_;
};

void by_hand(unsigned short port)
{
    asio::io_context context(1);
    two_exchanges loop(context.get_executor(), port);
    asio::co_spawn(context.get_executor(), loop.run(), [](const std::exception_ptr& error) {
        if (error != nullptr)
            std::rethrow_exception(error);
    });
    context.run();
}

// What a handler may do, for whose warm calls the executor counts.
using warm_pool_type = loopsafe::connection_pool<idle_connector, loopsafe::keep_alive_pool>;

asio::awaitable<void> acquires(unsigned short)
{
    warm_pool_type pool(co_await asio::this_coro::executor, idle_connector{}, timeless());
    co_await acquire_and_release(pool, warm_up);
    toggle();
    co_await acquire_and_release(pool, counted);
    toggle();
}

asio::awaitable<void> gets(unsigned short port)
{
    loopsafe::http::client client(co_await asio::this_coro::executor);
    const auto url = "http://127.0.0.1:" + std::to_string(port) + "/";
    for (int i = 0; i != warm_up + counted; ++i) {
        if (i == warm_up)
            toggle();
        const auto response = co_await client.get(url);
        require(response.body.size() == 5);
    }
    toggle();
}

using operation = asio::awaitable<void> (*)(unsigned short);

template <operation Operation>
void inside(unsigned short port)
{
    lambda::runtime runtime(options(port));
    bool done = false;
    runtime.serve([&](lambda::invocation&) -> asio::awaitable<std::string> {
        if (!std::exchange(done, true))
            co_await Operation(port);
        runtime.stop();
        co_return "";
    });
}

template <operation Operation>
void outside(unsigned short port)
{
    asio::io_context context(1);
    run(context, Operation(port));
}

// Ways to spend instructions, by a number that a second process of this program can be told.
constexpr std::array subjects{by_hand,          invocations,   outside<acquires>,
                              inside<acquires>, outside<gets>, inside<gets>};

double instructions_once(std::size_t which, unsigned short port)
{
    return collected_by_callgrind(std::to_string(which) + ' ' + std::to_string(port)) / counted;
}

// The least of some: what has not come yet when it is read is waited for, which costs more.
double instructions(std::size_t which, unsigned short port)
{
    double best = instructions_once(which, port);
    for (int i = 1; i != 5; ++i)
        best = std::min(best, instructions_once(which, port));
    return best;
}

double milliseconds_to_next(std::string program, lambda_peer& api)
{
    std::string to = "AWS_LAMBDA_RUNTIME_API=127.0.0.1:" + std::to_string(api.port());
    std::array<char*, 2> words{program.data(), nullptr};
    std::array<char*, 2> environment{to.data(), nullptr};
    pid_t child = 0;
    const auto spent = nanoseconds([&] {
        if (::posix_spawn(&child, program.c_str(), nullptr, nullptr, words.data(),
                          environment.data()) != 0)
            throw std::runtime_error("cannot start " + program);
        api.serve_until_next();
    });
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return spent / 1e6;
}

void start_rows(const std::string& built)
{
    lambda_peer api;
    const auto spent = least(
        1, 401, [&](int) { return milliseconds_to_next(built + "lambda", api); },
        [&](int) { return milliseconds_to_next(built + "bare_lambda", api); });
    row("a function from its start to the first /next", spent[0], "ms", spent[1], 1.5);
    const auto megabytes = [&](const char* name) {
        return static_cast<double>(std::filesystem::file_size(built + name)) / 1e6;
    };
    row("size of a function that echoes, linked statically", megabytes("lambda"), "MB", 0, 2.0);
    row("the same, beside the least loop", megabytes("lambda"), "MB", megabytes("bare_lambda"));
}

} // namespace

int main(int words, char** word)
{
    if (words == 3) {
        subjects.at(static_cast<std::size_t>(std::stoi(word[1])))(
            static_cast<unsigned short>(std::stoi(word[2])));
        return 0;
    }
    {
        const lambda_peer_process api;
        const auto cost = [&](std::size_t which) { return instructions(which, api.port()); };
        row("a warm invocation, beside two exchanges by hand", cost(1), "instructions", cost(0),
            1.3);
        row("a warm acquire inside an invocation, beside one outside", cost(3), "instructions",
            cost(2), 1.05);
        row("a GET inside an invocation, beside one outside", cost(5), "instructions", cost(4),
            1.05);
    }
    const char* const built = std::getenv("LOOPSAFE_SMALL");
    if (built == nullptr)
        throw std::runtime_error("run this through tests/run --bench lambda");
    start_rows(std::string(built) + "/static/");
}
