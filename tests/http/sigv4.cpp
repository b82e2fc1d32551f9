// SPDX-License-Identifier: BSL-1.0
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

// The value of a field of a request as it was received, or "none".
std::string field_of(const std::string& text, const std::string& name)
{
    const auto at = text.find("\r\n" + name + ": ");
    if (at == std::string::npos)
        return "none";
    const auto begin = at + name.size() + 4;
    return text.substr(begin, text.find("\r\n", begin) - begin);
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
        CHECK(http::detail::aws_signature(scope, secret, canonical) == each.signature);
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

} // namespace

} // namespace sigv4_tests
