// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_SQS_EVENT_HPP
#define LOOPSAFE_LAMBDA_SQS_EVENT_HPP

#include <loopsafe/detail/base64.hpp>
#include <loopsafe/lambda/detail/json_members.hpp>
#include <loopsafe/lambda/function_error.hpp>

#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>

#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace loopsafe::lambda {

/// A message attribute, as its sender set it.
struct sqs_attribute {
    std::string data_type; ///< `String`, `Number`, `Binary`, or one of these with a suffix
    std::optional<std::string> string_value = {};
    std::optional<std::string> binary_value = {}; ///< in base64, as it came

    /// What `binary_value` encodes; empty without it. Errors: `unmarshal_error` where it is no
    /// base64 (RFC 4648, 4).
    std::string bytes() const
    {
        auto decoded = loopsafe::detail::from_base64(binary_value ? *binary_value : std::string());
        if (decoded.wrong_at)
            throw unmarshal_error("the value of a binary attribute is no base64 at byte " +
                                      std::to_string(*decoded.wrong_at),
                                  *decoded.wrong_at);
        return std::move(decoded.bytes);
    }
};

/// A message of a queue. What the event lacks is empty.
struct sqs_record {
    std::string message_id = {};
    std::string receipt_handle = {};
    std::string body = {};
    std::string md5_of_body = {};
    std::string md5_of_message_attributes = {};
    std::string event_source = {};     ///< `aws:sqs`
    std::string event_source_arn = {}; ///< of the queue
    std::string aws_region = {};
    std::map<std::string, std::string, std::less<>> attributes = {}; ///< that SQS sets
    std::map<std::string, sqs_attribute, std::less<>> message_attributes = {};

    /// One of `attributes`; empty without it.
    std::string_view attribute(std::string_view name) const
    {
        const auto found = attributes.find(name);
        return found == attributes.end() ? std::string_view() : found->second;
    }

    std::string_view group_id() const { return attribute("MessageGroupId"); }
    std::string_view deduplication_id() const { return attribute("MessageDeduplicationId"); }
    std::string_view sequence_number() const { return attribute("SequenceNumber"); }

    /// How many times the message was received, this time included; 0 if that is not known.
    unsigned receive_count() const
    {
        unsigned count = 0;
        const auto text = attribute("ApproximateReceiveCount");
        std::from_chars(text.data(), text.data() + text.size(), count);
        return count;
    }

    /// By the name of its queue. A group is no sign: messages of a standard queue may have one.
    bool is_fifo() const noexcept { return event_source_arn.ends_with(".fifo"); }
};

/// The event of a queue, for `json()`. Boost.JSON converts it; an event without `Records`, or with
/// those of another source, is refused (`unmarshal_error`).
struct sqs_batch {
    std::vector<sqs_record> records;
};

/// Which messages are to come again: the answer to a batch, for `json()`. It is heeded where the
/// event source mapping has `ReportBatchItemFailures`.
class batch_response {
public:
    /// Precondition: the record is one of the event. Adds its id, unless it is there already.
    ///
    /// Errors: `unmarshal_error` where it has none: SQS cannot be told of it, and would take
    /// an empty id for the failure of the whole batch, or for nothing at all. Complexity: constant
    /// on average.
    void add(const sqs_record& record)
    {
        if (record.message_id.empty())
            throw unmarshal_error("a record that failed has no messageId: the batch cannot be "
                                  "answered but as a whole");
        if (known_.insert(record.message_id).second)
            failed_.push_back(record.message_id);
    }

    /// Each once.
    const std::vector<std::string>& failed_ids() const noexcept { return failed_; }

private:
    std::vector<std::string> failed_;
    std::unordered_set<std::string> known_; // the same
};

namespace detail {

inline sqs_attribute to_attribute(const boost::json::object& from, std::string_view what)
{
    sqs_attribute to{string_member(from, "dataType", what)};
    if (member(from, "stringValue") != nullptr)
        to.string_value = string_member(from, "stringValue", what);
    if (member(from, "binaryValue") != nullptr)
        to.binary_value = string_member(from, "binaryValue", what);
    return to;
}

// Other sources send Records as well.
inline bool is_from_sqs(const boost::json::object& record)
{
    if (const auto* source = member(record, "eventSource"))
        return *source == "aws:sqs";
    return record.contains("messageId") || record.contains("body");
}

inline sqs_record to_record(const boost::json::object& from, std::string_view what)
{
    sqs_record to;
    to.message_id = string_member(from, "messageId", what);
    to.receipt_handle = string_member(from, "receiptHandle", what);
    to.body = string_member(from, "body", what);
    to.md5_of_body = string_member(from, "md5OfBody", what);
    to.md5_of_message_attributes = string_member(from, "md5OfMessageAttributes", what);
    to.event_source = string_member(from, "eventSource", what);
    to.event_source_arn = string_member(from, "eventSourceARN", what);
    to.aws_region = string_member(from, "awsRegion", what);
    to.attributes = map_member(from, "attributes", what);
    const auto* attributes = object_member(from, "messageAttributes", what);
    if (attributes == nullptr)
        return to;
    for (const auto& each : *attributes) {
        const auto* object = each.value().if_object();
        if (object == nullptr)
            throw_wrong_member(what, "messageAttributes", "object of objects");
        to.message_attributes.emplace(each.key(), to_attribute(*object, "a message attribute"));
    }
    return to;
}

} // namespace detail

inline sqs_batch tag_invoke(const boost::json::value_to_tag<sqs_batch>&,
                            const boost::json::value& from)
{
    const auto* event = from.if_object();
    const auto* records =
        event != nullptr ? detail::array_member(*event, "Records", "the event") : nullptr;
    if (records == nullptr)
        throw unmarshal_error("the event is no batch of messages: it has no Records");
    sqs_batch to;
    to.records.reserve(records->size());
    for (const auto& each : *records) {
        const auto what = "Records[" + std::to_string(to.records.size()) + ']';
        const auto* record = each.if_object();
        if (record == nullptr)
            throw unmarshal_error(what + " is no object");
        if (!detail::is_from_sqs(*record))
            throw unmarshal_error(what + " is no message of SQS, but of another source");
        to.records.push_back(detail::to_record(*record, what));
    }
    return to;
}

inline void tag_invoke(const boost::json::value_from_tag&, boost::json::value& to,
                       const batch_response& from)
{
    boost::json::array failures;
    failures.reserve(from.failed_ids().size());
    for (const auto& each : from.failed_ids())
        failures.push_back(boost::json::object{{"itemIdentifier", each}});
    to = boost::json::object{{"batchItemFailures", std::move(failures)}};
}

} // namespace loopsafe::lambda

#endif
