// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lambda/json.hpp>
#include <loopsafe/lambda/sqs.hpp>

#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <support/invocations.hpp>
#include <support/texts.hpp>
#include <vector>

namespace sqs_tests {

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
namespace lambda = loopsafe::lambda;
using lambda::batch_response;
using lambda::sqs_batch;
using lambda::sqs_record;
using lambda::unmarshal_error;
using support::thrown_by;

sqs_batch parsed(const std::string& text)
{
    return lambda::detail::event_to<sqs_batch>(text);
}

std::string answer_of(const batch_response& response)
{
    return lambda::detail::answer_from(response);
}

} // namespace

TEST_CASE("a batch from a standard queue has all that SQS says of its messages")
{
    const auto batch = parsed(R"({"Records": [
        {
            "messageId": "0c1d", "receiptHandle": "handle+/=", "body": "{\"order\": 7}",
            "attributes": {
                "ApproximateReceiveCount": "3", "SentTimestamp": "1700000000123",
                "SenderId": "AIDAEXAMPLE", "ApproximateFirstReceiveTimestamp": "1700000000456",
                "AWSTraceHeader": "Root=1-2-3", "MessageGroupId": "tenant-1"
            },
            "messageAttributes": {
                "kind": {"stringValue": "order", "stringListValues": [], "binaryListValues": [],
                         "dataType": "String"},
                "size": {"stringValue": "12", "dataType": "Number.int"},
                "blob": {"binaryValue": "AP8=", "dataType": "Binary.png"},
                "none": {"stringValue": null, "dataType": "String"}
            },
            "md5OfBody": "d41d", "md5OfMessageAttributes": "8cd9",
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-central-1:111122223333:orders",
            "awsRegion": "eu-central-1", "inventedLater": {"a": [1]}
        },
        {"messageId": "0c1e", "body": "\u00e9\u0000"}
    ], "more": 1})");
    REQUIRE(batch.records.size() == 2);
    const auto& first = batch.records[0];
    CHECK(first.message_id == "0c1d");
    CHECK(first.receipt_handle == "handle+/=");
    CHECK(first.body == R"({"order": 7})");
    CHECK(first.md5_of_body == "d41d");
    CHECK(first.md5_of_message_attributes == "8cd9");
    CHECK(first.event_source == "aws:sqs");
    CHECK(first.event_source_arn == "arn:aws:sqs:eu-central-1:111122223333:orders");
    CHECK(first.aws_region == "eu-central-1");
    CHECK(first.receive_count() == 3);
    CHECK(first.attribute("SentTimestamp") == "1700000000123");
    CHECK(first.attribute("Missing").empty());
    CHECK(first.group_id() == "tenant-1");
    CHECK_FALSE(first.is_fifo());
    REQUIRE(first.message_attributes.size() == 4);
    const auto attribute = [&](const char* name) {
        return first.message_attributes.find(name)->second;
    };
    CHECK(attribute("kind").string_value == "order");
    CHECK(attribute("kind").data_type == "String");
    CHECK(attribute("size").data_type == "Number.int");
    CHECK(attribute("blob").bytes() == std::string("\0\xff", 2));
    CHECK_FALSE(attribute("none").string_value);
    CHECK(attribute("none").bytes().empty());
    const auto& second = batch.records[1];
    CHECK(second.body == std::string("\xc3\xa9\0", 3));
    CHECK(second.attributes.empty());
    CHECK(second.receive_count() == 0);
}

TEST_CASE("a batch from a FIFO queue has groups, and is known by the name of its queue")
{
    const auto batch = parsed(R"({"Records": [{
        "messageId": "1", "body": "b", "eventSourceARN": "arn:aws:sqs:us-east-1:1:orders.fifo",
        "attributes": {"MessageGroupId": "g", "MessageDeduplicationId": "d",
                       "SequenceNumber": "18849496460467696128", "ApproximateReceiveCount": "x"}}]})");
    const auto& record = batch.records.at(0);
    CHECK(record.is_fifo());
    CHECK(record.group_id() == "g");
    CHECK(record.deduplication_id() == "d");
    CHECK(record.sequence_number() == "18849496460467696128");
    CHECK(record.receive_count() == 0);
}

TEST_CASE("what a batch lacks is empty, and an event that is no batch is refused")
{
    CHECK(parsed(R"({"Records": []})").records.empty());
    const auto bare =
        parsed(R"({"Records": [{"body": null}, {"messageId": null, "attributes": null}]})");
    CHECK(bare.records.at(0).message_id.empty());
    CHECK(bare.records.at(1).message_id.empty());
    for (const std::string text :
         {"null", "[]", "{}", R"({"records": []})", R"({"Records": null})", R"({"Records": {}})",
          R"({"Records": [1]})", R"({"Records": [{}]})", R"({"Records": [{"messageId": 7}]})",
          R"({"Records": [{"messageId": "1", "eventSource": "aws:kinesis"}]})",
          R"({"Records": [{"body": {"secret": 1}}]})", R"({"Records": [{"attributes": {"a": 1}}]})",
          R"({"Records": [{"messageAttributes": {"a": "secret"}}]})",
          R"({"Records": [{"messageAttributes": {"a": {"dataType": 1}}}]})"}) {
        const auto error = thrown_by<unmarshal_error>([&] { parsed(text); });
        CHECK(std::string(error.what()).find("secret") == std::string::npos);
    }
    const auto where =
        thrown_by<unmarshal_error>([] { parsed(R"({"Records": [{"body": ""}, {"body": 1}]})"); });
    CHECK(std::string(where.what()) == "Records[1].body is no string");
    const auto attribute = lambda::sqs_attribute{"Binary", std::nullopt, "AP8"};
    CHECK_THROWS_AS(attribute.bytes(), unmarshal_error);
}

TEST_CASE("an answer has each id of the event once, and none that is empty")
{
    batch_response response;
    CHECK(answer_of(response) == R"({"batchItemFailures":[]})");
    sqs_record record;
    record.message_id = "a\"b";
    response.add(record);
    response.add(record);
    record.message_id = "c";
    response.add(record);
    CHECK(answer_of(response) == R"({"batchItemFailures":[{"itemIdentifier":"a\"b"},)"
                                 R"({"itemIdentifier":"c"}]})");
    record.message_id.clear();
    CHECK_THROWS_AS(response.add(record), unmarshal_error);
    CHECK(response.failed_ids().size() == 2);
}

TEST_CASE("a handler of batches answers for each of its messages")
{
    const std::function<void(const lambda::record_failure&)> quiet =
        [](const lambda::record_failure&) {};
    auto handler = lambda::json(
        [&](sqs_batch batch, lambda::invocation& in) -> asio::awaitable<batch_response> {
            const auto store = [](const sqs_record& record) -> asio::awaitable<void> {
                if (record.body == "bad")
                    throw std::runtime_error("no");
                co_return;
            };
            lambda::each_record_options options;
            options.on_failure = &quiet;
            co_return co_await lambda::each_record(batch, store, in, options);
        });
    CHECK(support::answer_to(handler, R"({"Records": [{"messageId": "1", "body": "good"},
        {"messageId": "2", "body": "bad"}, {"messageId": "3", "body": "good"}]})") ==
          R"({"batchItemFailures":[{"itemIdentifier":"2"}]})");
    CHECK(support::answer_to(handler, R"({"Records": []})") == R"({"batchItemFailures":[]})");
    CHECK_THROWS_AS(support::answer_to(handler, "{}"), unmarshal_error);
}

} // namespace sqs_tests
