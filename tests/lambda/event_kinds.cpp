// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lambda/http_event.hpp>
#include <loopsafe/lambda/json.hpp>
#include <loopsafe/lambda/sqs.hpp>

#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <support/invocations.hpp>
#include <vector>

namespace event_kinds_tests {

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
namespace lambda = loopsafe::lambda;

enum class taken { as_json_only, as_http, as_batch };

// One of each kind of event that AWS documents, as small as it can be.
struct event_kind {
    std::string name;
    taken by;
    std::string event;
};

const std::vector<event_kind>& kinds()
{
    static const std::vector<event_kind> all = {
        {"HTTP API", taken::as_http,
         R"({"version":"2.0","routeKey":"GET /a","rawPath":"/a","rawQueryString":"","headers":{},
             "requestContext":{"http":{"method":"GET","path":"/a"},"timeEpoch":1}})"},
        {"HTTP API with a Lambda authorizer", taken::as_http,
         R"({"version":"2.0","rawPath":"/","requestContext":{"authorizer":{"lambda":{"tenant":"t",
             "admin":false,"none":null}},"http":{"method":"GET"}}})"},
        {"HTTP API with IAM", taken::as_http,
         R"({"version":"2.0","rawPath":"/","requestContext":{"authorizer":{"iam":{"cognitoIdentity":
             {"amr":["a"],"identityId":"i"},"principalOrgId":"o"}},"http":{"method":"GET"}}})"},
        {"HTTP API's request to an authorizer, 2.0", taken::as_http,
         R"({"version":"2.0","type":"REQUEST","routeArn":"arn:r","identitySource":["a"],"rawPath":"/",
             "requestContext":{"http":{"method":"GET"}}})"},
        {"function URL", taken::as_http,
         R"({"version":"2.0","routeKey":"$default","rawPath":"/","cookies":["a=1"],"headers":{},
             "requestContext":{"authorizer":null,"http":{"method":"POST"}},"isBase64Encoded":false})"},
        {"queue", taken::as_batch,
         R"({"Records":[{"messageId":"1","body":"b","eventSource":"aws:sqs"}]})"},
        {"FIFO queue", taken::as_batch,
         R"({"Records":[{"messageId":"1","body":"b","eventSource":"aws:sqs",
             "eventSourceARN":"arn:q.fifo","attributes":{"MessageGroupId":"g"}}]})"},
        {"queue of notifications", taken::as_batch,
         R"({"Records":[{"messageId":"1","body":"{\"Type\":\"Notification\",\"Message\":\"m\"}"}]})"},
        {"HTTP API's request to an authorizer, 1.0", taken::as_json_only,
         R"({"version":"1.0","type":"REQUEST","methodArn":"arn:m","httpMethod":"GET","path":"/",
             "requestContext":{"path":"/","protocol":"HTTP/1.1"}})"},
        {"REST API", taken::as_json_only,
         R"({"resource":"/","path":"/","httpMethod":"GET","headers":null,"multiValueHeaders":null,
             "requestContext":{"identity":{"sourceIp":"192.0.2.1"},"stage":"s"},"body":null})"},
        {"token authorizer", taken::as_json_only,
         R"({"type":"TOKEN","methodArn":"arn:m","authorizationToken":"t"})"},
        {"WebSocket API", taken::as_json_only,
         R"({"requestContext":{"routeKey":"$connect","eventType":"CONNECT","connectionId":"c"},
             "body":"","isBase64Encoded":false})"},
        {"load balancer", taken::as_json_only,
         R"({"requestContext":{"elb":{"targetGroupArn":"arn:t"}},"httpMethod":"GET","path":"/",
             "queryStringParameters":{},"headers":{},"body":"","isBase64Encoded":false})"},
        {"GraphQL resolver", taken::as_json_only,
         R"({"arguments":{"id":"1"},"identity":null,"source":null,"request":{"headers":{}},
             "info":{"fieldName":"f","variables":{}},"prev":null,"stash":{}})"},
        {"GraphQL batch", taken::as_json_only, R"([{"operation":"BatchInvoke"},{"payload":{}}])"},
        {"notification", taken::as_json_only,
         R"({"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","Sns":{"Message":"m"}}]})"},
        {"bucket", taken::as_json_only,
         R"({"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"object":
             {"key":"a+b","size":1}}}]})"},
        {"batch job on a bucket", taken::as_json_only,
         R"({"invocationSchemaVersion":"2.0","invocationId":"i","job":{"id":"j"},"tasks":[]})"},
        {"object", taken::as_json_only,
         R"({"xAmzRequestId":"r","getObjectContext":{"inputS3Url":"https://x"}})"},
        {"stream", taken::as_json_only,
         R"({"Records":[{"eventSource":"aws:kinesis","kinesis":{"data":"AA==","sequenceNumber":"1",
             "approximateArrivalTimestamp":1.5}}]})"},
        {"stream in windows", taken::as_json_only,
         R"({"Records":[{"eventSource":"aws:kinesis"}],"window":{"start":"a","end":"b"},"state":{}})"},
        {"table", taken::as_json_only,
         R"({"Records":[{"eventSource":"aws:dynamodb","dynamodb":{"Keys":{"id":{"N":"1"}},"NewImage":
             {"b":{"B":"AA=="},"s":{"SS":["a"]},"n":{"NULL":true}}}}]})"},
        {"Kafka", taken::as_json_only,
         R"({"eventSource":"aws:kafka","records":{"t-0":[{"offset":1,"value":"AA=="}]}})"},
        {"ActiveMQ", taken::as_json_only,
         R"({"eventSource":"aws:mq","messages":[{"messageID":"1","data":"AA=="}]})"},
        {"RabbitMQ", taken::as_json_only,
         R"({"eventSource":"aws:rmq","rmqMessagesByQueue":{"q::/":[{"data":"AA=="}]}})"},
        {"delivery stream", taken::as_json_only,
         R"({"deliveryStreamArn":"arn:d","records":[{"recordId":"1","data":"AA=="}]})"},
        {"event bus", taken::as_json_only,
         R"({"version":"0","id":"i","detail-type":"d","source":"aws.ec2","resources":[],
             "detail":{"state":"running"}})"},
        {"schedule", taken::as_json_only,
         R"({"source":"aws.events","detail-type":"Scheduled Event","detail":{}})"},
        {"logs", taken::as_json_only, R"({"awslogs":{"data":"H4sIAAAA"}})"},
        {"alarm", taken::as_json_only,
         R"({"alarmArn":"arn:a","alarmData":{"state":{"value":"OK"}}})"},
        {"mail", taken::as_json_only,
         R"({"Records":[{"eventVersion":"1.0","ses":{"mail":{}},"eventSource":"aws:ses"}]})"},
        {"user pool", taken::as_json_only,
         R"({"version":"1","triggerSource":"PreSignUp_SignUp","request":{"userAttributes":{}},
             "response":{"autoConfirmUser":false}})"},
        {"identity pool", taken::as_json_only,
         R"({"version":2,"eventType":"SyncTrigger","datasetRecords":{}})"},
        {"stack", taken::as_json_only,
         R"({"RequestType":"Create","ResponseURL":"https://x","ResourceProperties":{}})"},
        {"configuration rule", taken::as_json_only,
         R"({"invokingEvent":"{}","ruleParameters":"{}","resultToken":"t","eventLeftScope":false})"},
        {"build", taken::as_json_only,
         R"({"source":"aws.codebuild","detail-type":"CodeBuild Build State Change","detail":
             {"additional-information":{"cache":{"type":"NO_CACHE"}}}})"},
        {"commit", taken::as_json_only,
         R"({"Records":[{"eventSource":"aws:codecommit","codecommit":{"references":[]}}]})"},
        {"pipeline job", taken::as_json_only, R"({"CodePipeline.job":{"id":"1","data":{}}})"},
        {"edge", taken::as_json_only,
         R"({"Records":[{"cf":{"config":{},"request":{"method":"GET","uri":"/","headers":{}}}}]})"},
        {"bot", taken::as_json_only,
         R"({"sessionId":"s","inputTranscript":"hi","interpretations":[],"sessionState":{}})"},
        {"things", taken::as_json_only,
         R"({"token":"t","signatureVerified":true,"protocols":["mqtt"],"protocolData":{}})"},
        {"button", taken::as_json_only,
         R"({"serialNumber":"s","clickType":"SINGLE","batteryVoltage":"1 mV"})"},
        {"secret", taken::as_json_only,
         R"({"Step":"createSecret","SecretId":"arn:s","ClientRequestToken":"t"})"},
        {"VPN", taken::as_json_only, R"({"connection-id":"c","schema-version":"v2"})"},
        {"target group", taken::as_json_only,
         R"({"version":"2.0","raw_path":"/","requestContext":{"serviceArn":"arn:s"}})"},
        {"state machine", taken::as_json_only, R"("any text, or 1, or null")"},
    };
    return all;
}

template <class Event>
bool takes(const std::string& event)
{
    const auto ignore = [](const Event&) -> asio::awaitable<void> { co_return; };
    auto handler = lambda::json(ignore);
    try {
        return support::answer_to(handler, event) == "null";
    } catch (const lambda::unmarshal_error&) {
        return false;
    }
}

} // namespace

TEST_CASE("each kind of event is taken by the function that is for it, and refused by the others")
{
    for (const auto& kind : kinds()) {
        CAPTURE(kind.name);
        CHECK(takes<json::value>(kind.event));
        CHECK(takes<lambda::http_request>(kind.event) == (kind.by == taken::as_http));
        CHECK(takes<lambda::sqs_batch>(kind.event) == (kind.by == taken::as_batch));
    }
}

} // namespace event_kinds_tests
