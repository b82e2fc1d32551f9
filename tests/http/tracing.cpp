// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
// Which trace a request belongs to, by the field traceparent.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/http/layers/retries.hpp>
#include <loopsafe/http/layers/tracing.hpp>
#include <loopsafe/pool/process.hpp>

#include <chrono>
#include <http/received.hpp>
#include <http/support.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace tracing_tests {

namespace {

using namespace http_test;

const std::string trace = "0af7651916cd43dd8448eb211c80319c";
const std::string parent = "b7ad6b7169203331";
const std::string zeros = "00000000000000000000000000000000";

bool is_hex(const std::string& text)
{
    return text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Sends a request by a chain of this layer, and gives what arrived.
std::string sent(const http::trace_context& now, const fields& headers = {})
{
    http_peer peer([](http_peer::caller& c) { c.write(answer(c.read_request())); });
    mortal_context context;
    const auto api = http::client(*context) | http::tracing([now] { return now; });
    request r("GET", peer.url());
    r.headers = headers;
    return run_on(*context, api.send(r)).body;
}

bool is_a_new_trace(const std::string& field)
{
    return field.size() == 55 && field.starts_with("00-") && field.ends_with("-01") &&
           is_hex(field.substr(3, 32)) && is_hex(field.substr(36, 16)) && field[35] == '-' &&
           field.substr(3, 32) != trace && field.substr(3, 32) != zeros &&
           field.substr(36, 16) != zeros.substr(0, 16);
}

TEST_CASE("tracing: a request is in the trace of now, with its flags, as another parent")
{
    for (const auto* flags : {"00", "01", "03", "ff"}) {
        const auto now = "00-" + trace + '-' + parent + '-' + flags;
        const auto field = field_of(sent(now), "traceparent");
        CAPTURE(field);
        CHECK(field.starts_with("00-" + trace + '-'));
        CHECK(field.ends_with(std::string("-") + flags));
        CHECK(field.size() == now.size());
        CHECK(is_hex(field.substr(36, 16)));
        CHECK(field.substr(36, 16) != parent);
        CHECK(field.substr(36, 16) != zeros.substr(0, 16));
    }
}

TEST_CASE("tracing: of a later version the trace is known, and of its flags the first")
{
    const auto rest = '-' + trace + '-' + parent + '-';
    CHECK(field_of(sent("01" + rest + "03"), "traceparent").ends_with("-01"));
    CHECK(field_of(sent("cc" + rest + "fe"), "traceparent").ends_with("-00"));
    const auto longer = field_of(sent("cc" + rest + "01-what.comes"), "traceparent");
    CHECK(longer.starts_with("00-" + trace + '-'));
    CHECK(longer.size() == 55);
}

TEST_CASE("tracing: where there is no trace, or a malformed one, a request begins one")
{
    const auto upper = [](std::string text) {
        for (auto& c : text)
            c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
        return text;
    };
    const auto good = "00-" + trace + '-' + parent + "-01";
    std::vector<std::string> all{"",
                                 "0",
                                 "00-",
                                 good + '0',
                                 good + "-x",
                                 ' ' + good,
                                 upper(good),
                                 "ff" + good.substr(2),
                                 "0g" + good.substr(2),
                                 "cc" + good.substr(2) + ".x",
                                 "00-" + zeros + '-' + parent + "-01",
                                 "00-" + trace + "-0000000000000000-01",
                                 "00-" + trace + '-' + parent + "-0x",
                                 "00_" + trace + '-' + parent + "-01",
                                 "00-" + trace + '_' + parent + "-01",
                                 "00-" + trace + '-' + parent + "_01",
                                 good + "\r\nX-Injected: 1",
                                 std::string(1000, '-')};
    for (std::size_t size = 1; size != good.size(); size += 9)
        all.push_back(good.substr(0, size));
    std::set<std::string> seen_fields;
    for (const auto& each : all) {
        CAPTURE(each);
        const auto text = sent({each, "vendor=1"});
        CHECK(is_a_new_trace(field_of(text, "traceparent")));
        CHECK(field_of(text, "tracestate") == "none");
        CHECK(field_of(text, "X-Injected") == "none");
        CHECK(seen_fields.insert(field_of(text, "traceparent")).second);
    }
}

TEST_CASE("tracing: the state of a trace goes along, and what the caller has set stays")
{
    const auto now = "00-" + trace + '-' + parent + "-01";
    CHECK(field_of(sent({now, "a=1,b=2"}), "tracestate") == "a=1,b=2");
    CHECK(field_of(sent({now, "a=1\r\nX-Injected: 1"}), "tracestate") == "none");
    const auto own = sent({now, "a=1"}, {{"TraceParent", "mine"}});
    CHECK(field_of(own, "TraceParent") == "mine");
    CHECK(field_of(own, "traceparent") == "none");
    CHECK(field_of(own, "tracestate") == "none");
    const auto state = sent({now, "a=1"}, {{"Tracestate", "mine=1"}});
    CHECK(field_of(state, "Tracestate") == "mine=1");
    CHECK(field_of(state, "tracestate") == "none");
    CHECK(field_of(state, "traceparent").starts_with("00-" + trace));
}

TEST_CASE("tracing: each attempt and each hop is another parent, and another origin gets none")
{
    http_peer other([](http_peer::caller& c) { c.write(answer(c.read_request())); });
    http_peer peer([&other](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            c.peer().note(field_of(text, "traceparent"));
            const auto n = c.peer().notes().size();
            c.write(n == 1 ? "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
                           : "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " +
                                 (n == 2 ? "/next" : other.url()) + "\r\n\r\n");
        }
    });
    mortal_context context;
    int asked = 0;
    http::retry_options at_once;
    at_once.first_pause = at_once.longest_pause = std::chrono::milliseconds(0);
    const auto api = http::client(*context) | http::tracing([&asked] {
                         ++asked;
                         return "00-" + trace + '-' + parent + "-01";
                     }) |
                     http::retries(at_once) | http::redirects();
    const auto reads = [](http::incoming_response& r) -> asio::awaitable<std::string> {
        auto all = co_await r.read_all(10'000);
        co_return all;
    };
    const auto last = run_on(*context, api.with_response({"GET", peer.url()}, reads));
    CHECK(field_of(last, "traceparent") == "none");
    const auto notes = peer.notes();
    CHECK(notes.size() == 3);
    CHECK(std::set<std::string>(notes.begin(), notes.end()).size() == 3);
    for (const auto& each : notes)
        CHECK(each.starts_with("00-" + trace + '-'));
    CHECK(asked == 3);
}

TEST_CASE("tracing: copies of a process have no random number in common")
{
    const auto bytes = [](const unsigned char* from) {
        return std::vector<unsigned char>(from, from + 16);
    };
    loopsafe::process_restored();
    const auto* const first = http::detail::random_bytes::take(16);
    const auto coming = bytes(first + 16);
    CHECK(bytes(first) != coming);
    CHECK(bytes(http::detail::random_bytes::take(16)) == coming);
    const auto later = bytes(first + 32);
    loopsafe::process_restored();
    CHECK(bytes(http::detail::random_bytes::take(16)) != later);
    CHECK(bytes(first + 32) != later);
}

TEST_CASE("tracing: an error of the function is the request's")
{
    mortal_context context;
    const auto fails = []() -> std::string { throw std::runtime_error("not today"); };
    const auto api = http::client(*context) | http::tracing(fails);
    CHECK_THROWS_WITH_AS(run_on(*context, api.get("http://127.0.0.1:1/")), "not today",
                         std::runtime_error);
}

} // namespace

} // namespace tracing_tests
