// SPDX-License-Identifier: BSL-1.0
// A function for the tests with processes, and for every host: what the event asks for is done.
// Which runtime serves it is the handler's name, as the console of AWS would have it.

#include <loopsafe/lambda.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

namespace asio = boost::asio;
namespace lambda = loopsafe::lambda;

asio::awaitable<void> sleep(std::chrono::milliseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

void throw_nested()
{
    try {
        throw std::out_of_range("line 7");
    } catch (...) {
        std::throw_with_nested(lambda::function_error("Function.OrderRefused", "no such order"));
    }
}

std::string truth(bool of)
{
    return of ? "true" : "false";
}

// JSON is answered as it is.
std::string or_null(std::string_view json)
{
    return json.empty() ? "null" : std::string(json);
}

asio::awaitable<std::string> answer(lambda::invocation& in)
{
    const std::string_view event = in.event();
    if (event == R"("throw")")
        throw std::runtime_error("boom");
    if (event == R"("nested")")
        throw_nested();
    if (event == R"("text")")
        co_return "this is no JSON";
    if (event == R"("nothing")")
        co_return "";
    if (event == R"("tenant")")
        co_return '"' + std::string(in.tenant()) + '"';
    if (event == R"("client")")
        co_return or_null(in.client_context());
    if (event == R"("trace")")
        co_return truth(in.trace().starts_with("Root="));
    if (event == R"("time")")
        co_return truth(in.left() > std::chrono::seconds(0) &&
                        in.left() <= std::chrono::minutes(15));
    if (event == R"("who")") { // after others had their turn
        co_await sleep(std::chrono::milliseconds(0));
        const auto me = co_await lambda::this_invocation();
        co_return std::string(me.id()) + ' ' + std::string(me.trace()) + ' ' +
            std::string(me.tenant());
    }
    if (event == R"("facts")") {
        const auto me = co_await lambda::this_invocation();
        co_return "{\"same\":" + truth(me.id() == in.id() && !in.id().empty()) +
            ",\"has_arn\":" + truth(!in.function_arn().empty()) +
            ",\"has_deadline\":" + truth(in.due().has_value()) + "}";
    }
    if (event == R"("large")")
        co_return '"' + std::string(7'000'000, 'x') + '"';
    if (event == R"("exit")")
        std::_Exit(3);
    if (event == R"("hang")") {
        std::puts("hanging");
        std::fflush(stdout);
        co_await sleep(std::chrono::hours(1));
    }
    co_return std::string(event);
}

asio::awaitable<void> write_event(lambda::invocation& in, lambda::response_writer& out)
{
    out.content_type("application/json");
    co_await out.write(in.event());
    if (in.event() == R"("throw")")
        throw std::runtime_error("boom");
}

} // namespace

int main(int argc, char** argv)
{
    const char* const named = std::getenv("_HANDLER");
    const std::string_view how = argc > 1 ? argv[1] : named != nullptr ? named : "";
    if (how == "fresh")
        return lambda::basic_runtime<lambda::context_per_invocation>().serve(answer);
    if (how == "concurrent")
        return lambda::basic_runtime<lambda::concurrent>({.contexts = 2}).serve(answer);
    if (how == "one_context")
        return lambda::basic_runtime<lambda::concurrent>().serve(answer);
    if (how == "stream")
        return lambda::serve(lambda::streamed(write_event));
    if (how == "bad_start") {
        loopsafe::lifespan app;
        app.add("database", []() -> asio::awaitable<void> {
            throw std::runtime_error("no database");
            co_return;
        });
        return lambda::serve(answer, {.lifespan = &app});
    }
    return lambda::serve(answer);
}
