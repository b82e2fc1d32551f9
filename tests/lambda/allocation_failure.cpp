// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: what fails is on one thread.
#include <loopsafe/lambda/detail/record_run.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <lambda/served.hpp>
#include <new>
#include <optional>
#include <string>
#include <support/heap.hpp>
#include <vector>

namespace lambda_allocation_failure_tests {

namespace {

namespace asio = boost::asio;
namespace lambda = loopsafe::lambda;

// Asio destroys a coroutine that it has no memory to begin.
bool is_want_of_memory(const std::exception_ptr& error)
{
    try {
        std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
        return true;
    } catch (const boost::system::system_error& e) {
        return e.code() == loopsafe::errc::task_lost;
    }
}

struct failure {};

TEST_CASE("each_record: an allocation that fails loses no failure, and the batch ends")
{
    lambda::sqs_batch batch;
    for (const char* id : {"a", "bad", "c", "d", "also bad"}) {
        lambda::sqs_record record;
        record.message_id = id;
        batch.records.push_back(record);
    }
    const std::function<void(const lambda::record_failure&)> hook =
        [](const lambda::record_failure&) {};
    lambda::each_record_options options;
    options.max_running = 2;
    options.on_failure = &hook;
    std::vector<std::string> done;
    done.reserve(100);
    const auto function = [&](const lambda::sqs_record& record) -> asio::awaitable<void> {
        co_await asio::post(asio::deferred);
        if (record.message_id.ends_with("bad"))
            throw failure();
        done.push_back(record.message_id);
    };
    for (const auto order : {lambda::record_order::concurrent, lambda::record_order::skip_group}) {
        options.order = order;
        bool failed = true;
        int out_of_memory = 0;
        for (long which = 0; failed; ++which) {
            CAPTURE(which);
            done.clear();
            std::optional<std::vector<std::string>> answer;
            std::exception_ptr error;
            bool ended = false;
            {
                asio::io_context context(1);
                const heap::watch on(which);
                try {
                    asio::co_spawn(context,
                                   lambda::detail::run_records<asio::steady_timer>(
                                       batch, function, std::nullopt, options),
                                   [&](const std::exception_ptr& e, lambda::batch_response given) {
                                       error = e;
                                       answer = given.failed_ids();
                                       ended = true;
                                   });
                    context.run();
                } catch (const std::bad_alloc&) { // of co_spawn, of Asio, or of the handler above
                    error = std::current_exception();
                    ended = true;
                }
                failed = heap::allocations > which;
            }
            CHECK(ended);
            if (error != nullptr) {
                ++out_of_memory;
                CHECK(is_want_of_memory(error));
                continue;
            }
            REQUIRE(answer);
            // Of each record there is the effect, or its id in the answer.
            CHECK(done.size() + answer->size() == 5);
            for (const auto& each : done)
                CHECK(std::find(answer->begin(), answer->end(), each) == answer->end());
            REQUIRE(which < 1'000);
        }
        CHECK(out_of_memory > 10);
    }
}

asio::awaitable<std::string> answer(lambda::invocation& in)
{
    co_await asio::post(asio::deferred);
    co_return std::string(in.event());
}

asio::awaitable<void> write(lambda::invocation& in, lambda::response_writer& out)
{
    co_await out.write(in.event());
    co_await asio::post(asio::deferred);
    co_await out.write("end");
}

// Serves one event, with one allocation that fails, until there is an answer or an exit code.
template <class Policy, class Handler>
bool serve_one(const Handler& handler, long which, loopsafe::lifespan& app)
{
    using namespace lambda_support;
    lambda_service service({.invocation_ids = true});
    lambda::basic_runtime<Policy> runtime({.endpoint = service.endpoint(),
                                           .ends_on_sigterm = false,
                                           .stop_within = std::chrono::seconds(20),
                                           .lifespan = &app,
                                           .log = nullptr});
    auto call = service.begin("event", {.timeout = std::chrono::minutes(1), .deadline = "60000"});
    std::optional<lambda_reply> reply;
    std::atomic<bool> has_ended = false;
    std::jthread caller([&] {
        reply = block_on(call.reply());
        if (!has_ended)
            runtime.stop();
    });
    int code = 0;
    bool failed = false;
    {
        const heap::watch on(which);
        try {
            code = runtime.serve(handler);
        } catch (const std::bad_alloc&) { // it has not begun
            code = 1;
        }
        failed = heap::allocations > which;
    }
    has_ended = true;
    service.restart(); // what has no answer has crashed
    caller.join();
    CHECK((code == 0 || code == 1));
    CHECK((code == 1 || reply->ok() || reply->how == lambda_reply::kind::error ||
           reply->how == lambda_reply::kind::failed_init));
    if (!failed)
        CHECK(reply->ok());
    return failed;
}

template <class Policy, class Handler>
void serve_with_little_memory(const Handler& handler)
{
    loopsafe::lifespan app;
    const auto nothing = []() -> asio::awaitable<void> { co_return; };
    app.add("nothing", nothing, nothing);
    long which = 0;
    for (bool failed = true; failed; ++which) {
        CAPTURE(which);
        failed = serve_one<Policy>(handler, which, app);
        REQUIRE(which < 2'000);
    }
    CHECK(which > 20);
}

TEST_CASE("an allocation that fails anywhere in an invocation: an answer, or an exit code")
{
    SUBCASE("kept")
    {
        serve_with_little_memory<lambda::context_kept>(answer);
    }
    SUBCASE("kept, streamed")
    {
        serve_with_little_memory<lambda::context_kept>(lambda::streamed(write));
    }
    SUBCASE("fresh")
    {
        serve_with_little_memory<lambda::context_per_invocation>(answer);
    }
    SUBCASE("fresh, streamed")
    {
        serve_with_little_memory<lambda::context_per_invocation>(lambda::streamed(write));
    }
}

} // namespace

} // namespace lambda_allocation_failure_tests
