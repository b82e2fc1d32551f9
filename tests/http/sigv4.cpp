// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
// What is signed, and that it is what is sent.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/http/layers/retries.hpp>
#include <loopsafe/http/layers/sigv4.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <http/received.hpp>
#include <http/sigv4_botocore.hpp>
#include <http/sigv4_published.hpp>
#include <http/support.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sigv4_tests {

namespace {

using namespace http_test;
using namespace std::chrono_literals;

constexpr const char* key_id = "AKIDEXAMPLE";
constexpr const char* secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
constexpr const char* session_token = "6e86291e8372ff2a2260956d9b8aae1d/763+fb==";
constexpr std::chrono::sys_seconds now_of_botocore =
    std::chrono::sys_days(std::chrono::year(2026) / 2 / 28) + 23h + 59min + 59s;

template <class Use>
void for_each_field(std::string_view lines, Use use)
{
    while (!lines.empty()) {
        const auto colon = lines.find(':');
        const auto end = lines.find('\n');
        use(lines.substr(0, colon), lines.substr(colon + 1, end - colon - 1));
        lines.remove_prefix(end + 1);
    }
}

std::string authorization_of(std::string_view names, std::string_view signature,
                             std::string_view service)
{
    return std::string("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260228/eu-central-1/")
        .append(service)
        .append("/aws4_request, SignedHeaders=")
        .append(names)
        .append(", Signature=")
        .append(signature);
}

http::sigv4_options signing(std::string service, std::string token = {})
{
    http::sigv4_options with;
    with.service = std::move(service);
    with.region = "eu-central-1";
    with.credentials = http::aws_fixed({key_id, secret, std::move(token)});
    with.clock = [] { return now_of_botocore; };
    return with;
}

std::string target_of(const std::string& text)
{
    const auto begin = text.find(' ') + 1;
    return text.substr(begin, text.find(' ', begin) - begin);
}

// Answers each request with itself.
void echo(http_peer::caller& c)
{
    for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
        c.peer().note(text);
        c.write(answer(text));
    }
}

TEST_CASE("sigv4: the signatures that AWS publishes are those of the same requests")
{
    for (const auto& each : published_requests) {
        CAPTURE(each.name);
        const std::string_view target = each.target;
        const auto question = std::min(target.find('?'), target.size());
        std::string path(target.substr(0, question));
        if (each.normalized)
            path = http::detail::with_single_slashes(http::detail::without_dot_segments(path));
        const auto hash = http::detail::hex_of(http::detail::sha256(each.body));
        http::detail::canonical_fields signed_ones;
        for_each_field(each.fields, [&](std::string_view name, std::string_view value) {
            signed_ones.add(name, value);
        });
        signed_ones.add("X-Amz-Date", "20150830T123600Z");
        if (each.tells_hash)
            signed_ones.add("x-amz-content-sha256", hash);
        if (*each.token != '\0')
            signed_ones.add("X-Amz-Security-Token", each.token);
        signed_ones.sort();
        const auto query = question == target.size() ? "" : target.substr(question + 1);
        const auto canonical = http::detail::canonical_request(
            each.method, http::detail::canonical_path(path, false),
            http::detail::canonical_query(query), signed_ones, hash);
        CAPTURE(canonical);
        const http::detail::aws_scope scope{"20150830T123600Z", "us-east-1", "service"};
        CHECK(http::detail::aws_signature(scope, http::detail::aws_key(scope, secret), canonical) ==
              each.signature);
    }
}

TEST_CASE("sigv4: what is sent is signed as botocore signs it")
{
    http_peer plain(echo);
    http_peer secure(echo, true);
    mortal_context context;
    http::client_options options;
    options.tls.trusted_file = secure.root_file();
    http::client usual(*context, options);
    options.keep_dot_segments = true;
    http::client keeping(*context, options);
    for (const auto& each : signed_by_botocore) {
        CAPTURE(each.method);
        CAPTURE(each.target);
        CAPTURE(each.service);
        const auto api = (each.keeps_dots ? keeping : usual) |
                         http::sigv4(signing(each.service, each.has_token ? session_token : ""));
        request r(each.method, (each.streamed ? secure : plain).url(each.target));
        r.headers.add("Host", "bucket.example.amazonaws.com");
        for_each_field(each.fields, [&r](std::string_view name, std::string_view value) {
            r.headers.add(name, value);
        });
        const std::string body = each.body;
        const auto make = [body](http::body_writer& out) -> asio::awaitable<void> {
            co_await out.write(body);
        };
        if (each.streamed)
            r.body = http::request_body::streamed(make);
        else if (!body.empty())
            r.body = body;
        const auto got = run_on(*context, watch(api.send(std::move(r))));
        REQUIRE_FALSE(got.error);
        const auto text = (each.streamed ? secure : plain).notes().back();
        CHECK(target_of(text) == each.sent);
        CHECK(field_of(text, "Authorization") ==
              authorization_of(each.signed_fields, each.signature, each.service));
        CHECK(field_of(text, "X-Amz-Date") == "20260228T235959Z");
        CHECK(field_of(text, "X-Amz-Security-Token") == (each.has_token ? session_token : "none"));
        CHECK(got.answer.body == (std::string_view(each.method) == "HEAD" ? "" : text));
    }
}

// The signature of a request as it was received, by what its Authorization says was signed.
std::string signature_of(const std::string& text, std::string_view service, bool object_store,
                         const std::string& hash, const std::string& key = secret)
{
    const auto authorization = field_of(text, "Authorization");
    const auto begin = authorization.find("SignedHeaders=") + 14;
    const auto names = authorization.substr(begin, authorization.find(',', begin) - begin);
    http::detail::canonical_fields fields;
    for (auto at = text.find("\r\n") + 2; text.compare(at, 2, "\r\n") != 0;) {
        const auto colon = text.find(": ", at);
        const auto end = text.find("\r\n", at);
        std::string name = text.substr(at, colon - at);
        std::transform(name.begin(), name.end(), name.begin(), http::detail::lower);
        if ((';' + names + ';').find(';' + name + ';') != std::string::npos)
            fields.add(name, text.substr(colon + 2, end - colon - 2));
        at = end + 2;
    }
    fields.sort();
    CHECK(fields.names() == names); // all of them were sent
    const auto target = target_of(text);
    const auto question = std::min(target.find('?'), target.size());
    const auto time = field_of(text, "X-Amz-Date");
    const http::detail::aws_scope scope{time, "eu-central-1", service};
    return http::detail::aws_signature(
        scope, http::detail::aws_key(scope, key),
        http::detail::canonical_request(
            text.substr(0, text.find(' ')),
            http::detail::canonical_path(std::string_view(target).substr(0, question),
                                         object_store),
            http::detail::canonical_query(
                question == target.size() ? "" : std::string_view(target).substr(question + 1)),
            fields, hash));
}

std::string signature_in(const std::string& text)
{
    const auto authorization = field_of(text, "Authorization");
    return authorization.substr(authorization.rfind('=') + 1);
}

TEST_CASE("sigv4: what the client adds is signed where it must be: the host, and its own fields")
{
    http_peer peer(echo);
    mortal_context context;
    http::client_options options;
    options.headers.add("Content-Type", "text/plain");
    options.headers.add("X-Amz-Target", "of every request");
    const auto api = http::client(*context, options) | http::sigv4(signing("sqs"));
    const auto reads = [](http::incoming_response& r) -> asio::awaitable<std::string> {
        auto all = co_await r.read_all(10'000);
        co_return all;
    };
    for (const bool streamed : {false, true}) {
        request r("POST", peer.url("/q?b=1&a=2"), "body");
        r.headers.add("content-type", "text/css");
        const auto text = streamed ? run_on(*context, api.with_response(r, reads))
                                   : run_on(*context, api.send(r)).body;
        CHECK(field_of(text, "Authorization")
                  .find("SignedHeaders=content-type;host;x-amz-date;"
                        "x-amz-target,") != std::string::npos);
        const auto hash = http::detail::hex_of(http::detail::sha256("body"));
        CHECK(signature_in(text) == signature_of(text, "sqs", false, hash));
        CHECK(field_of(text, "content-type") == "text/css");
        CHECK(field_of(text, "X-Amz-Content-Sha256") == "none");
    }
}

TEST_CASE("sigv4: each attempt is signed anew, at the time that it is made")
{
    http_peer peer([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            c.peer().note(text);
            c.write(c.peer().notes().size() == 1 ? "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
                                                 : answer("done"));
        }
    });
    mortal_context context;
    auto with = signing("sqs");
    with.clock = [&peer] { return now_of_botocore + 1s * peer.notes().size(); };
    http::retry_options at_once;
    at_once.first_pause = at_once.longest_pause = 0ms;
    const auto api = http::client(*context) | http::sigv4(with) | http::retries(at_once);
    CHECK(run_on(*context, api.get(peer.url("/a/../b c"))).body == "done");
    const auto notes = peer.notes();
    REQUIRE(notes.size() == 2);
    const auto empty = http::detail::hex_of(http::detail::sha256(""));
    for (const auto& text : notes) {
        CHECK(target_of(text) == "/b%20c");
        CHECK(signature_in(text) == signature_of(text, "sqs", false, empty));
    }
    CHECK(field_of(notes[0], "X-Amz-Date") == "20260228T235959Z");
    CHECK(field_of(notes[1], "X-Amz-Date") == "20260301T000000Z");
}

// Gives other credentials each time, which must soon be replaced.
class changing final : public http::aws_credential_source {
public:
    std::string name() const override { return "the test"; }
    asio::awaitable<http::aws_credentials> get() const override
    {
        http::aws_credentials made(key_id, "secret " + std::to_string(++calls));
        made.expires = now_of_botocore + 5min;
        co_return made;
    }
    mutable int calls = 0;
};

TEST_CASE("sigv4: other credentials sign with another key")
{
    http_peer peer(echo);
    mortal_context context;
    auto with = signing("sqs");
    with.credentials = std::make_shared<changing>();
    const auto api = http::client(*context) | http::sigv4(with);
    const auto empty = http::detail::hex_of(http::detail::sha256(""));
    for (const auto* each : {"secret 1", "secret 2", "secret 3"}) {
        const auto text = run_on(*context, api.get(peer.url())).body;
        CHECK(signature_in(text) == signature_of(text, "sqs", false, empty, each));
    }
}

TEST_CASE("sigv4: another origin gets neither a signature nor a token")
{
    http_peer other(echo);
    http_peer first(http_peer::always("HTTP/1.1 302 Found\r\nLocation: " + other.url("/there") +
                                      "\r\nContent-Length: 0\r\n\r\n"));
    mortal_context context;
    const auto api =
        http::client(*context) | http::sigv4(signing("s3", session_token)) | http::redirects();
    const auto text = run_on(*context, api.get(first.url())).body;
    CHECK(target_of(text) == "/there");
    for (const auto* name : {"Authorization", "X-Amz-Security-Token", "X-Amz-Date"})
        CHECK(field_of(text, name) == "none");
}

TEST_CASE("sigv4: an Authorization of the caller's stays, and its request is sent as it is")
{
    http_peer peer(echo);
    mortal_context context;
    const auto api = http::client(*context) | http::sigv4(signing("s3", session_token));
    request r("GET", peer.url("/a!b?x=/"));
    r.headers.add("Authorization", "Bearer mine");
    const auto text = run_on(*context, api.send(r)).body;
    CHECK(target_of(text) == "/a!b?x=/");
    CHECK(field_of(text, "Authorization") == "Bearer mine");
    CHECK(field_of(text, "X-Amz-Security-Token") == "none");
}

TEST_CASE("sigv4: a streamed body goes over https, or with a hash of the caller's")
{
    http_peer plain(echo);
    mortal_context context;
    const auto api = http::client(*context) | http::sigv4(signing("s3"));
    const auto make = [](http::body_writer& out) -> asio::awaitable<void> {
        co_await out.write("body");
    };
    request r("PUT", plain.url("/key?secret=1"), http::request_body::streamed(make));
    const auto got = run_on(*context, watch(api.send(r)));
    CHECK(got.ec == errc::unsigned_body);
    CHECK(got.ec == condition::bad_request);
    const auto text = text_of(got.error);
    CHECK(text.find("a streamed body cannot be signed, so it must be sent over https") !=
          std::string::npos);
    CHECK(text.find("pass the body as a string, or its hash as X-Amz-Content-Sha256") !=
          std::string::npos);
    CHECK(text.find("secret") == std::string::npos);
    CHECK(plain.connections() == 0);
    const auto hash = http::detail::hex_of(http::detail::sha256("body"));
    r.headers.add("X-Amz-Content-Sha256", hash);
    const auto sent = run_on(*context, api.send(r)).body;
    CHECK(signature_in(sent) == signature_of(sent, "s3", true, hash));
    CHECK(field_of(sent, "X-Amz-Content-Sha256") == hash);
}

// S3 decodes a path before it looks at it, so there botocore, which signs it as it is sent, is
// wrong.
TEST_CASE("sigv4: an encoded dot segment of a key of S3 stays one key, and is signed decoded")
{
    http_peer peer(echo);
    mortal_context context;
    const auto api = http::client(*context) | http::sigv4(signing("s3"));
    const auto text = run_on(*context, api.get(peer.url("/a/%2e%2E/b%2e/%2e"))).body;
    CHECK(target_of(text) == "/a/%2E%2E/b./%2E");
    CHECK(http::detail::canonical_path("/a/%2E%2E/b./%2E", true) == "/a/../b./.");
    const auto empty = http::detail::hex_of(http::detail::sha256(""));
    CHECK(signature_in(text) == signature_of(text, "s3", true, empty));
}

TEST_CASE("sigv4: wrong options are refused by name, and a wrong URL by the client")
{
    const auto refusal = [](const std::function<void(http::sigv4_options&)>& change) {
        auto with = signing("s3");
        change(with);
        try {
            http::sigv4(with);
        } catch (const boost::system::system_error& e) {
            CHECK(e.code() == loopsafe::errc::bad_option);
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK(refusal([](auto& with) {
              with.service.clear();
          }).starts_with("http::sigv4: service must be as in its endpoint, such as \"s3\""));
    CHECK(refusal([](auto& with) { with.service = "s3/x"; }).starts_with("http::sigv4: service"));
    CHECK(refusal([](auto& with) {
              with.region = "eu central";
          }).starts_with("http::sigv4: region must be a name"));
    CHECK(refusal([](auto& with) {
              with.credentials = nullptr;
          }).starts_with("http::sigv4: credentials must not be null"));
    mortal_context context;
    const auto api = http::client(*context) | http::sigv4(signing("s3"));
    CHECK(run_on(*context, watch(api.get("http://user@host/"))).ec == errc::bad_url);
    CHECK(run_on(*context, watch(api.get("http://[::zz]/"))).ec == errc::bad_url);
}

TEST_CASE("sigv4: credentials that no field can hold are refused, and stay secret")
{
    mortal_context context;
    auto with = signing("s3", "token-1\r\nX-Injected: 1");
    const auto api = http::client(*context) | http::sigv4(with);
    const auto got = run_on(*context, watch(api.get("http://127.0.0.1:1/")));
    CHECK(got.ec == errc::bad_field_value);
    CHECK(text_of(got.error).find("token-1") == std::string::npos);
    with.credentials = http::aws_fixed({"key-1\n", secret});
    const auto other = http::client(*context) | http::sigv4(with);
    const auto failed = run_on(*context, watch(other.get("http://127.0.0.1:1/")));
    CHECK(failed.ec == errc::bad_field_value);
    CHECK(text_of(failed.error).find("key-1") == std::string::npos);
}

} // namespace

} // namespace sigv4_tests
