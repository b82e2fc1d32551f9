// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lambda/detail/record_run.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <functional>
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

} // namespace

} // namespace lambda_allocation_failure_tests
