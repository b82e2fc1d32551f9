// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lambda/detail/record_run.hpp>
#include <loopsafe/lambda/each_record.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/testing/manual_clock.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <support/invocations.hpp>
#include <support/run_until.hpp>
#include <support/spies.hpp>
#include <support/texts.hpp>
#include <utility>
#include <vector>

namespace each_record_tests {

namespace {

using namespace support;
namespace lambda = loopsafe::lambda;
using lambda::batch_response;
using lambda::each_record_options;
using lambda::record_end;
using lambda::record_order;
using lambda::sqs_batch;
using lambda::sqs_record;
using loopsafe::testing::manual_clock;

sqs_record with_id(std::string id, std::string group = "")
{
    sqs_record record;
    record.message_id = std::move(id);
    if (!group.empty())
        record.attributes["MessageGroupId"] = std::move(group);
    return record;
}

sqs_batch batch_of(const names& ids)
{
    sqs_batch batch;
    for (const auto& each : ids)
        batch.records.push_back(with_id(each));
    return batch;
}

sqs_batch in_order(sqs_batch batch)
{
    for (auto& each : batch.records)
        each.event_source_arn = "arn:aws:sqs:us-east-1:1:q.fifo";
    return batch;
}

// What on_failure is told.
struct told {
    std::string id;
    record_end end;
    std::exception_ptr error;
};

class listener {
public:
    each_record_options options(record_order order = record_order::by_queue) const
    {
        each_record_options all;
        all.order = order;
        all.on_failure = &hook_;
        return all;
    }

    std::vector<told> heard;

private:
    std::function<void(const lambda::record_failure&)> hook_ =
        [this](const lambda::record_failure& what) {
            heard.push_back({what.record.message_id, what.end, what.error});
        };
};

// To the end, without a deadline.
template <class F>
names failed_of(const sqs_batch& batch, F function, const each_record_options& options)
{
    one_invocation in("");
    names failed;
    const auto main = [&]() -> asio::awaitable<void> {
        const auto response = co_await lambda::each_record(batch, function, in, options);
        failed = response.failed_ids();
    };
    loopsafe::run(main);
    return failed;
}

// A batch on a context whose clock, and whose records' ends, are the test's.
class slow_batch {
public:
    explicit slow_batch(sqs_batch batch) : batch_(std::move(batch)) { manual_clock::reset(); }

    void begin(std::optional<std::chrono::milliseconds> left, const each_record_options& options)
    {
        auto function = [this](const sqs_record& record) { return run(record); };
        std::optional<manual_clock::time_point> due;
        if (left)
            due = manual_clock::now() + *left;
        asio::co_spawn(
            *context_,
            lambda::detail::run_records<manual_clock::timer>(batch_, function, due, options),
            asio::bind_cancellation_slot(cancel_.slot(),
                                         [this](std::exception_ptr e, batch_response response) {
                                             error = e;
                                             answer = response.failed_ids();
                                         }));
        run_ready(*context_);
    }

    // The record goes on: to its end, or to an error.
    void end(const std::string& id, std::exception_ptr with = nullptr)
    {
        auto& record = *running_.at(id);
        record.error = with;
        do_on(*context_, [&] { record.wake.cancel(); });
    }

    void pass(std::chrono::milliseconds time)
    {
        manual_clock::advance(*context_, time);
        run_ready(*context_);
    }

    void cancel()
    {
        do_on(*context_, [this] { cancel_.emit(asio::cancellation_type::terminal); });
    }

    void destroy_context() { context_.reset(); }

    names begun;
    names cancelled;
    bool ignores_cancellation = false;
    std::optional<names> answer;
    std::exception_ptr error;

private:
    struct record_state {
        explicit record_state(asio::io_context& c) : wake(c, asio::steady_timer::time_point::max())
        {
        }
        asio::steady_timer wake;
        std::exception_ptr error;
    };

    asio::awaitable<void> run(const sqs_record& record)
    {
        begun.push_back(record.message_id);
        record_state state(*context_);
        running_[record.message_id] = &state;
        const auto [ec] = co_await state.wake.async_wait(asio::as_tuple(asio::use_awaitable));
        const auto asked = co_await asio::this_coro::cancellation_state;
        if (asked.cancelled() != asio::cancellation_type::none) {
            cancelled.push_back(record.message_id);
            if (ignores_cancellation)
                co_return;
            throw boost::system::system_error(ec);
        }
        if (state.error != nullptr)
            std::rethrow_exception(state.error);
    }

    const sqs_batch batch_;
    std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
    std::map<std::string, record_state*> running_;
    asio::cancellation_signal cancel_;
};

std::exception_ptr some_error()
{
    return std::make_exception_ptr(std::runtime_error("it failed"));
}

} // namespace

TEST_CASE("a record that fails is answered for, whatever it throws, and the others go on")
{
    listener hears;
    names done;
    const auto function = [&](const sqs_record& record) -> asio::awaitable<void> {
        co_await asio::post(asio::use_awaitable);
        if (record.message_id == "error")
            throw std::runtime_error("x");
        if (record.message_id == "int")
            throw 3;
        if (record.message_id == "text")
            throw "text";
        if (record.message_id == "aborted")
            throw boost::system::system_error(asio::error::operation_aborted);
        done.push_back(record.message_id);
    };
    const auto batch = batch_of({"a", "error", "int", "b", "text", "aborted", "c"});
    CHECK(failed_of(batch, function, hears.options()) == names{"error", "int", "text", "aborted"});
    CHECK(done == names{"a", "b", "c"});
    REQUIRE(hears.heard.size() == 4);
    for (const auto& each : hears.heard) {
        CHECK(each.end == record_end::failed);
        CHECK(each.error != nullptr);
    }
    CHECK(text_of(hears.heard[0].error) == "x");
    // A function that throws before it is a coroutine.
    const auto at_once = [](const sqs_record&) -> asio::awaitable<void> {
        throw std::runtime_error("at once");
    };
    CHECK(failed_of(batch_of({"a", "b"}), at_once, hears.options()) == names{"a", "b"});
}

TEST_CASE("where all records fail, all are in the answer, and nothing is thrown")
{
    listener hears;
    const auto function = [](const sqs_record&) -> asio::awaitable<void> {
        throw std::runtime_error("x");
        co_return;
    };
    CHECK(failed_of(batch_of({"a", "b", "c"}), function, hears.options()) == names{"a", "b", "c"});
    CHECK(failed_of(in_order(batch_of({"a", "b"})), function, hears.options()) == names{"a", "b"});
    CHECK(failed_of(sqs_batch(), function, hears.options()).empty());
}

TEST_CASE("an id is in the answer once, though the batch has it twice")
{
    listener hears;
    int calls = 0;
    const auto second_fails = [&](const sqs_record&) -> asio::awaitable<void> {
        if (++calls != 1)
            throw std::runtime_error("x");
        co_return;
    };
    CHECK(failed_of(batch_of({"a", "a", "a"}), second_fails, hears.options()) == names{"a"});
    CHECK(calls == 3);
}

TEST_CASE("a record without an id is never in an answer: if it fails, the batch does")
{
    listener hears;
    const auto fails = [](const sqs_record& record) -> asio::awaitable<void> {
        if (record.body == "bad")
            throw std::runtime_error("x");
        co_return;
    };
    auto batch = batch_of({"a", "", "b"});
    CHECK(failed_of(batch, fails, hears.options()).empty());
    batch.records[0].body = "bad";
    CHECK(failed_of(batch, fails, hears.options()) == names{"a"});
    batch.records[1].body = "bad";
    const auto error =
        thrown_by<lambda::unmarshal_error>([&] { failed_of(batch, fails, hears.options()); });
    CHECK(std::string(error.what()).find("no messageId") != std::string::npos);
    CHECK(hears.heard.size() == 3); // and each error was told
}

TEST_CASE("so many records run at once as the options say, and 10,000 in turn")
{
    sqs_batch batch;
    for (int i = 0; i != 10'000; ++i)
        batch.records.push_back(with_id(std::to_string(i)));
    std::size_t running = 0;
    std::size_t most = 0;
    std::size_t calls = 0;
    const auto function = [&](const sqs_record& record) -> asio::awaitable<void> {
        most = std::max(most, ++running);
        ++calls;
        co_await asio::post(asio::use_awaitable);
        --running;
        if (record.message_id.ends_with("7"))
            throw std::runtime_error("x");
    };
    listener hears;
    auto options = hears.options();
    for (const std::size_t limit : {std::size_t(1), std::size_t(8), std::size_t(10'000)}) {
        most = calls = 0;
        options.max_running = limit;
        CHECK(failed_of(batch, function, options).size() == 1'000);
        CHECK(most == limit);
        CHECK(calls == 10'000);
    }
    // None of them waits: they must not begin inside each other.
    const auto at_once = [&](const sqs_record&) -> asio::awaitable<void> {
        ++calls;
        co_return;
    };
    calls = 0;
    options.max_running = 8;
    CHECK(failed_of(batch, at_once, options).empty());
    CHECK(calls == 10'000);
}

TEST_CASE("a body of a megabyte is not copied")
{
    auto batch = batch_of({"a"});
    batch.records[0].body.assign(1'000'000, 'x');
    const auto* where = batch.records[0].body.data();
    listener hears;
    const auto function = [&](const sqs_record& record) -> asio::awaitable<void> {
        CHECK(record.body.data() == where);
        co_return;
    };
    CHECK(failed_of(batch, function, hears.options()).empty());
}

TEST_CASE("records of a FIFO queue run one after the other, and none after one that failed")
{
    listener hears;
    slow_batch batch(in_order(batch_of({"a", "b", "c", "d"})));
    batch.begin(std::nullopt, hears.options());
    CHECK(batch.begun == names{"a"});
    batch.end("a");
    CHECK(batch.begun == names{"a", "b"});
    batch.end("b", some_error());
    CHECK(batch.begun == names{"a", "b"});
    CHECK(batch.answer == names{"b", "c", "d"});
    REQUIRE(hears.heard.size() == 3);
    CHECK(hears.heard[0].end == record_end::failed);
    CHECK(hears.heard[1].end == record_end::not_begun);
    CHECK(hears.heard[1].error == nullptr);
}

TEST_CASE("where the rest of its group alone is skipped, other groups go on")
{
    sqs_batch records;
    for (const auto& [id, group] : {std::pair("1x", "x"),
                                    {"2y", "y"},
                                    {"3x", "x"},
                                    {"4y", "y"},
                                    {"5", ""},
                                    {"6x", "x"},
                                    {"7", ""}})
        records.records.push_back(with_id(id, group));
    names begun;
    const auto function = [&](const sqs_record& record) -> asio::awaitable<void> {
        begun.push_back(record.message_id);
        if (record.message_id == "1x" || record.message_id == "5")
            throw std::runtime_error("x");
        co_return;
    };
    listener hears;
    CHECK(failed_of(in_order(records), function, hears.options(record_order::skip_group)) ==
          names{"1x", "3x", "5", "6x", "7"});
    CHECK(begun == names{"1x", "2y", "4y", "5"});
}

TEST_CASE("the queue's name decides, and not a group: messages of a standard queue may have one")
{
    sqs_batch records;
    records.records = {with_id("a", "g"), with_id("b", "g"), with_id("c", "g")};
    const auto function = [](const sqs_record& record) -> asio::awaitable<void> {
        if (record.message_id == "a")
            throw std::runtime_error("x");
        co_return;
    };
    listener hears;
    CHECK(failed_of(records, function, hears.options()) == names{"a"});
    CHECK(failed_of(in_order(records), function, hears.options()) == names{"a", "b", "c"});
    CHECK(failed_of(in_order(records), function, hears.options(record_order::concurrent)) ==
          names{"a"});
    CHECK(failed_of(records, function, hears.options(record_order::stop_at_failure)) ==
          names{"a", "b", "c"});
}

TEST_CASE("near the deadline no record begins, and those that did not are answered for")
{
    listener hears;
    auto options = hears.options();
    options.max_running = 1;
    options.stop_before = 500ms;
    slow_batch batch(batch_of({"a", "b", "c"}));
    batch.begin(2s, options);
    batch.pass(1499ms);
    batch.end("a");
    CHECK(batch.begun == names{"a", "b"});
    batch.pass(1ms);
    CHECK_FALSE(batch.answer); // one runs on
    CHECK(batch.cancelled.empty());
    batch.end("b");
    CHECK(batch.begun == names{"a", "b"});
    CHECK(batch.answer == names{"c"});
    REQUIRE(hears.heard.size() == 1);
    CHECK(hears.heard[0].end == record_end::not_begun);

    slow_batch late(batch_of({"a", "b"}));
    late.begin(500ms, options);
    CHECK(late.begun.empty());
    CHECK(late.answer == names{"a", "b"});
    options.stop_before = loopsafe::never; // so nothing begins before any deadline
    slow_batch never(batch_of({"a"}));
    never.begin(1h, options);
    CHECK(never.answer == names{"a"});
    slow_batch too_late(in_order(batch_of({"a", "b"})));
    too_late.begin(-1h, options);
    CHECK(too_late.answer == names{"a", "b"});
}

TEST_CASE("a record that would never end is cancelled before the deadline, and answered for")
{
    listener hears;
    auto options = hears.options();
    options.cancel_before = 150ms;
    slow_batch batch(batch_of({"a", "b", "c"}));
    batch.begin(2s, options);
    batch.end("b");
    batch.pass(1849ms);
    CHECK(batch.cancelled.empty());
    batch.pass(1ms);
    CHECK(batch.cancelled == names{"a", "c"});
    CHECK(batch.answer == names{"a", "c"});
    CHECK(batch.error == nullptr);
    REQUIRE(hears.heard.size() == 2);
    CHECK(hears.heard[0].end == record_end::cancelled);

    slow_batch fifo(in_order(batch_of({"a", "b"})));
    fifo.begin(2s, options);
    fifo.pass(1850ms);
    CHECK(fifo.answer == names{"a", "b"});
    CHECK(fifo.begun == names{"a"});

    slow_batch succeeds(batch_of({"a"})); // for all that
    succeeds.ignores_cancellation = true;
    succeeds.begin(2s, options);
    succeeds.pass(1850ms);
    CHECK(succeeds.answer == names());

    options.cancel_before = 1900ms; // longer than stop_before
    slow_batch early(batch_of({"a"}));
    early.begin(1s, options);
    CHECK(early.begun.empty());
    CHECK(early.answer == names{"a"});
}

TEST_CASE("a batch without a deadline waits for its records, for as long as they take")
{
    listener hears;
    slow_batch batch(batch_of({"a"}));
    batch.begin(std::nullopt, hears.options());
    batch.pass(std::chrono::hours(1000));
    CHECK_FALSE(batch.answer);
    batch.end("a");
    CHECK(batch.answer == names());
}

TEST_CASE("a batch whose caller is cancelled has no answer, and its records have ended")
{
    for (const auto& records : {batch_of({"a", "b"}), in_order(batch_of({"a", "b"}))}) {
        listener hears;
        slow_batch batch(records);
        batch.begin(2s, hears.options());
        const auto begun = batch.begun;
        batch.cancel();
        CHECK(batch.cancelled == begun);
        CHECK(code_of(batch.error) == asio::error::operation_aborted);
    }
}

TEST_CASE("a context may die in the middle of a batch")
{
    for (const auto& records : {batch_of({"a", "b"}), in_order(batch_of({"a", "b"}))}) {
        listener hears;
        slow_batch batch(records);
        batch.begin(2s, hears.options());
        batch.destroy_context();
        CHECK_FALSE(batch.answer);
        CHECK(hears.heard.empty());
    }
}

TEST_CASE("a hook that throws loses no failure, and without one there is a line on stderr")
{
    const std::function<void(const lambda::record_failure&)> throws =
        [](const lambda::record_failure&) { throw std::runtime_error("from the hook"); };
    const auto fails = [](const sqs_record&) -> asio::awaitable<void> {
        throw std::runtime_error("x");
        co_return;
    };
    each_record_options options;
    options.on_failure = &throws;
    CHECK(failed_of(batch_of({"a"}), fails, options) == names{"a"});
    const std::function<void(const lambda::record_failure&)> empty;
    options.on_failure = &empty;
    CHECK(failed_of(batch_of({"a"}), fails, options) == names{"a"});
    options.on_failure = nullptr;
    CHECK(failed_of(batch_of({"a"}), fails, options) == names{"a"});
}

TEST_CASE("a batch belongs to the invocation of its caller")
{
    listener hears;
    const auto options = hears.options();
    const auto batch = batch_of({"a"});
    const auto handler = [&]() -> asio::awaitable<names> {
        const auto function = [](const sqs_record&) -> asio::awaitable<void> { co_return; };
        const auto response = co_await lambda::each_record(batch, function, options);
        co_return response.failed_ids();
    };
    const auto failed_at = [&](std::optional<std::chrono::steady_clock::time_point> due) {
        one_invocation in("", due);
        asio::io_context context(1);
        names failed;
        asio::co_spawn(
            lambda::detail::executor_for(context, lambda::detail::invocation_access::ref(in)),
            handler(), [&](const std::exception_ptr& error, const names& ids) {
                CHECK(error == nullptr);
                failed = ids;
            });
        context.run();
        return failed;
    };
    CHECK(failed_at(std::nullopt).empty());
    CHECK(failed_at(std::chrono::steady_clock::now()) == names{"a"});
    const auto outside = thrown_by<boost::system::system_error>([&] { loopsafe::run(handler); });
    CHECK(outside.code() == lambda::errc::no_invocation);
}

TEST_CASE("options without meaning are refused by name")
{
    listener hears;
    const auto refused = [&](const each_record_options& options) {
        const auto error = thrown_by<boost::system::system_error>([&] {
            failed_of(
                batch_of({"a"}), [](const sqs_record&) -> asio::awaitable<void> { co_return; },
                options);
        });
        CHECK(error.code() == loopsafe::errc::bad_option);
        return std::string(error.what());
    };
    auto options = hears.options();
    options.max_running = 0;
    CHECK(refused(options).find("max_running is 0") != std::string::npos);
    options = hears.options();
    options.stop_before = -1ms;
    CHECK(refused(options).find("stop_before is negative") != std::string::npos);
    options = hears.options();
    options.cancel_before = -1ms;
    CHECK(refused(options).find("cancel_before is negative") != std::string::npos);
}

} // namespace each_record_tests
