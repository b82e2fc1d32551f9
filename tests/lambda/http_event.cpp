// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/detail/base64.hpp>
#include <loopsafe/lambda/http_event.hpp>

#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <string>
#include <support/invocations.hpp>
#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <vector>

namespace http_event_tests {

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
namespace lambda = loopsafe::lambda;
using lambda::http_request;
using lambda::http_response;
using lambda::marshal_error;
using lambda::unmarshal_error;
using support::names;
using support::thrown_by;

http_request parsed(const std::string& text)
{
    return lambda::detail::event_to<http_request>(text);
}

// With these members instead of, or beside, those of the least event.
http_request with(const std::string& members)
{
    auto event = json::parse(R"({"version": "2.0", "rawPath": "/",
        "requestContext": {"http": {"method": "GET"}}})")
                     .as_object();
    const auto more = json::parse('{' + members + '}').as_object();
    for (const auto& each : more)
        event[each.key()] = each.value();
    return parsed(json::serialize(event));
}

json::object answer_of(const http_response& response)
{
    return json::parse(lambda::detail::answer_from(response)).as_object();
}

} // namespace

TEST_CASE("a request by an HTTP API has all that the API says of it")
{
    const auto request = parsed(R"({
        "version": "2.0", "routeKey": "POST /shops/{shop}", "rawPath": "/prod/shops/s%201",
        "rawQueryString": "a=1&a=2&b=x%20y", "cookies": ["session=abc", "theme=dark"],
        "headers": {"content-type": "text/plain", "host": "api.example.org", "x-list": "one,two",
                    "x-forwarded-for": "192.0.2.7"},
        "queryStringParameters": {"a": "1,2", "b": "x y"},
        "pathParameters": {"shop": "s 1"}, "stageVariables": {"table": "orders"},
        "requestContext": {
            "accountId": "111122223333", "apiId": "a1b2", "domainName": "api.example.org",
            "domainPrefix": "api", "requestId": "r-1", "routeKey": "POST /shops/{shop}",
            "stage": "prod", "time": "09/Nov/2026:10:11:12 +0000", "timeEpoch": 1794219072123,
            "authentication": {"clientCert": {"subjectDN": "CN=a", "serialNumber": "1"}},
            "authorizer": {"jwt": {"claims": {"sub": "u-1"}, "scopes": ["read"]}},
            "http": {"method": "POST", "path": "/prod/shops/s 1", "protocol": "HTTP/1.1",
                     "sourceIp": "192.0.2.7", "userAgent": "curl/8"}
        },
        "body": "hello \u00e9", "isBase64Encoded": false})");
    CHECK(request.method == "POST");
    CHECK(request.path == "/prod/shops/s%201");
    CHECK(request.query == "a=1&a=2&b=x%20y");
    CHECK(request.headers.size() == 4);
    CHECK(request.headers["Content-Type"] == "text/plain");
    CHECK(request.headers["x-list"] == "one,two");
    CHECK(request.cookies == names{"session=abc", "theme=dark"});
    CHECK(request.body == "hello \xc3\xa9");
    CHECK(request.protocol == "HTTP/1.1");
    CHECK(request.source_ip == "192.0.2.7");
    REQUIRE(request.gateway);
    const auto& gateway = *request.gateway;
    CHECK(gateway.request_id == "r-1");
    CHECK(gateway.account_id == "111122223333");
    CHECK(gateway.api_id == "a1b2");
    CHECK(gateway.domain_name == "api.example.org");
    CHECK(gateway.route_key == "POST /shops/{shop}");
    CHECK(gateway.stage == "prod");
    CHECK(gateway.time_epoch_ms == 1794219072123);
    CHECK(gateway.path_parameters.at("shop") == "s 1");
    CHECK(gateway.stage_variables.at("table") == "orders");
    CHECK(json::parse(gateway.authorizer).at("jwt").at("claims").at("sub") == "u-1");
    CHECK(json::parse(gateway.authentication).at("clientCert").at("serialNumber") == "1");
}

TEST_CASE("a request by a function URL, with IAM or without a body, is the same kind of request")
{
    const auto request = parsed(R"({
        "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
        "headers": {"x-amzn-trace-id": "Root=1-2", "host": "u1.lambda-url.eu-west-1.on.aws",
                    "cookie": "a=1; b=2", "connection": "keep-alive"},
        "cookies": ["a=1", "b=2"],
        "requestContext": {
            "accountId": "anonymous", "apiId": "u1", "domainName": "u1.lambda-url.eu-west-1.on.aws",
            "authorizer": {"iam": {"userArn": "arn:aws:iam::1:user/x", "userId": "AIDAEXAMPLE"}},
            "http": {"method": "DELETE", "path": "/", "protocol": "HTTP/2.0",
                     "sourceIp": "2001:db8::1", "userAgent": "x"},
            "requestId": "r", "routeKey": "$default", "stage": "$default", "timeEpoch": 1.0
        },
        "isBase64Encoded": true})");
    CHECK(request.method == "DELETE");
    CHECK(request.cookies == names{"a=1", "b=2"});
    CHECK_FALSE(request.headers.contains("cookie"));
    CHECK_FALSE(request.headers.contains("connection"));
    CHECK(request.body.empty());
    CHECK(json::parse(request.gateway->authorizer).at("iam").at("userId") == "AIDAEXAMPLE");
    CHECK(request.gateway->authentication.empty());
    CHECK(request.gateway->time_epoch_ms == 1);
}

TEST_CASE("what hosts do otherwise makes no other request")
{
    // No cookies, a path that was decoded, names of fields in any case.
    const auto request = with(R"("rawPath": "/caf\u00e9/a b?#c", "rawQueryString": "q=\u00e9 #",
        "headers": {"Content-Type": "a/b", "COOKIE": "a=1;b=\"2\" ; ;c", "X-A": "1", "x-a": "2",
                    "X-None": null})");
    CHECK(request.path == "/caf%C3%A9/a%20b%3F%23c");
    CHECK(request.query == "q=%C3%A9%20%23");
    CHECK(request.cookies == names{"a=1", "b=\"2\"", "c"});
    CHECK(request.headers["content-type"] == "a/b");
    CHECK(request.headers["x-a"] == "1,2");
    CHECK(request.headers.size() == 2);
    CHECK((*request.headers.begin()).name == "content-type");
    CHECK(with(R"("cookies": null, "headers": {"Cookie": "a=1"})").cookies == names{"a=1"});
    CHECK(with(R"("cookies": [], "headers": {"Cookie": "a=1"})").cookies.empty());
    CHECK(with(R"("headers": null, "body": null, "isBase64Encoded": null)").headers.empty());
    CHECK(with(R"("rawPath": "a")").path == "/a");
    CHECK(with(R"("rawPath": "*")").path == "*");
    const auto least = parsed(R"({"requestContext": {"http": {"method": "GET", "path": "/p"}}})");
    CHECK(least.path == "/p");
    CHECK(least.query.empty());
}

TEST_CASE("a body in base64 is decoded strictly")
{
    const auto body = [](const std::string& text) {
        return with(R"("isBase64Encoded": true, "body": ")" + text + '"').body;
    };
    CHECK(body("").empty());
    CHECK(body("AA==") == std::string(1, '\0'));
    CHECK(body("/+8=") == "\xff\xef");
    CHECK(body("////") == "\xff\xff\xff");
    CHECK(body("Zm9vYmFy") == "foobar");
    for (const std::string bad : {"A", "AA", "AAA", "AA=", "A===", "====", "=AAA", "AA=A",
                                  "AAAA=", "AAAA====", "AB==", "AAB=", "AA==AAAA", "AA-_", "AA A",
                                  "AAA\\n", "AAAA\\n", "AA\\u0000=", "\\u00e9AA="}) {
        const auto error = thrown_by<unmarshal_error>([&] { body(bad); });
        CHECK(error.offset() != unmarshal_error::nowhere);
    }
    std::string bytes;
    for (int size = 0; size != 300; ++size) {
        const auto text = loopsafe::detail::to_base64(bytes);
        CHECK(text.size() == (bytes.size() + 2) / 3 * 4);
        const auto back = loopsafe::detail::from_base64(text);
        CHECK_FALSE(back.wrong_at);
        REQUIRE(back.bytes == bytes);
        bytes += static_cast<char>(size);
    }
    CHECK(with(R"("body": "Zm9v")").body == "Zm9v");
}

TEST_CASE("another event than an HTTP request is refused, and says what to change")
{
    const auto refused = [](const std::string& text) {
        const auto error = thrown_by<unmarshal_error>([&] { parsed(text); });
        CHECK(std::string(error.what()).find("secret") == std::string::npos);
        return std::string(error.what());
    };
    static const std::string no = "the event is no HTTP request of the payload format 2.0";
    CHECK(refused("null") == no);
    CHECK(refused("{}") == no);
    CHECK(refused(R"({"Records": []})") == no);
    CHECK(refused(R"({"requestContext": {"elb": {}}, "path": "/"})") == no);
    CHECK(refused(R"({"version": "1.0", "httpMethod": "GET", "requestContext": {}})") ==
          no + ", but of 1.0: set PayloadFormatVersion of the integration to 2.0");
    const auto wrong = [](const std::string& members) {
        const auto error = thrown_by<unmarshal_error>([&] { with(members); });
        CHECK(std::string(error.what()).find("secret") == std::string::npos);
        return std::string(error.what());
    };
    CHECK(wrong(R"("requestContext": {"http": {"method": "GE T"}})") ==
          "requestContext.http.method is no method");
    CHECK(wrong(R"("headers": {"a": ["secret"]})") == "the event.headers is no object of strings");
    CHECK(wrong(R"("headers": {"a": "secret\r\nx: y"})").starts_with("a field of the event"));
    CHECK(wrong(R"("headers": {"secret name": "a"})").starts_with("a field of the event"));
    CHECK(wrong(R"("cookies": [1])") == "the event.cookies is no array of strings");
    CHECK(wrong(R"("cookies": "a=1")") == "the event.cookies is no array");
    CHECK(wrong(R"("body": {})") == "the event.body is no string");
    CHECK(wrong(R"("isBase64Encoded": "true")") == "the event.isBase64Encoded is no boolean");
    CHECK(wrong(R"("rawPath": 1)") == "the event.rawPath is no string");
    CHECK(wrong(R"("requestContext": {"http": {"method": "GET"}, "timeEpoch": "1"})") ==
          "requestContext.timeEpoch is no number of milliseconds");
}

TEST_CASE("an answer has its fields once, its cookies apart, and bytes as base64")
{
    http_response response;
    CHECK(answer_of(response) == json::parse(R"({"statusCode": 200, "headers": {}, "body": "",
        "isBase64Encoded": false})"));
    response.status = 418;
    response.headers = {{"X-A", "1"},
                        {"x-a", "2"},
                        {"Set-Cookie", "b=2"},
                        {"Content-Length", "9"},
                        {"Connection", "close"},
                        {"Transfer-Encoding", "chunked"}};
    response.cookies = {"a=1; Secure"};
    response.body = std::string("\xc3\xa9\0", 3);
    CHECK(answer_of(response) == json::parse(R"({"statusCode": 418,
        "headers": {"x-a": "1, 2", "content-type": "text/plain; charset=utf-8"},
        "cookies": ["a=1; Secure", "b=2"], "body": "\u00e9\u0000", "isBase64Encoded": false})"));
    response = http_response();
    response.body = "\xff\xfe";
    CHECK(answer_of(response) == json::parse(R"({"statusCode": 200,
        "headers": {"content-type": "application/octet-stream"}, "body": "//4=",
        "isBase64Encoded": true})"));
    response.headers.add("content-type", "image/png");
    CHECK(answer_of(response).at("headers").at("content-type") == "image/png");
    response.status = 204;
    CHECK(answer_of(response).at("body") == "");
}

TEST_CASE("an answer that no server could send is refused")
{
    for (const int status : {-1, 0, 99, 100, 101, 199, 600, 1000}) {
        http_response response;
        response.status = status;
        CHECK_THROWS_AS(answer_of(response), marshal_error);
    }
    for (const std::string& cookie : {std::string("a=1\r\nx: y"), std::string("a=\0", 3)}) {
        http_response response;
        response.cookies = {cookie};
        CHECK_THROWS_AS(answer_of(response), marshal_error);
    }
    http_response response; // a field cannot even be added
    CHECK_THROWS_AS(response.headers.add("x", "1\r\ny: 2"), loopsafe::http::error);
    response.cookies = {"a=\xff"};
    CHECK_THROWS_AS(answer_of(response), marshal_error);
}

} // namespace http_event_tests
