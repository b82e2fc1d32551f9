// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
//
// Streams of events. Each kind of stream that the web platform tests have (eventsource/format-*)
// has a case of our own here.
#include <loopsafe/http/events.hpp>

#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <http/each_client.hpp>
#include <http/fed_response.hpp>
#include <http/support.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <support/texts.hpp>
#include <utility>
#include <vector>

namespace events_tests {

namespace {

using namespace http_test;
using http::detail::event_parser;
using std::chrono::milliseconds;

// An event in a line: type, data and id.
std::string in_words(const http::server_sent_event& e)
{
    auto text = e.type + "|" + e.data;
    if (!e.id.empty())
        text += "|" + e.id;
    return text;
}

using events = std::vector<std::string>;

// What the parser gives where the stream comes in these parts.
events parsed(event_parser& parser, const std::vector<std::string_view>& parts)
{
    events all;
    for (auto part : parts) {
        while (!part.empty() && !parser.is_too_large()) {
            const auto n = parser.put(part);
            if (n == 0 && !parser.is_too_large())
                FAIL("nothing was taken");
            part.remove_prefix(n);
            if (parser.is_ready())
                all.push_back(in_words(parser.take()));
        }
    }
    return all;
}

std::vector<std::string_view> in_parts_of(std::size_t size, std::string_view whole)
{
    std::vector<std::string_view> parts;
    for (std::size_t at = 0; at < whole.size(); at += size)
        parts.push_back(whole.substr(at, size));
    return parts;
}

std::vector<std::vector<std::string_view>> every_split(std::string_view whole)
{
    std::vector<std::vector<std::string_view>> all{{whole}};
    for (std::size_t cut = 1; cut < whole.size(); ++cut)
        all.push_back({whole.substr(0, cut), whole.substr(cut)});
    for (const std::size_t size : {1U, 2U, 3U})
        all.push_back(in_parts_of(size, whole));
    return all;
}

struct example {
    std::string_view about;
    std::string stream;
    events expected;
    std::string last_id = {};
    std::optional<milliseconds> retry = {};
};

std::string with_nul(std::string text)
{
    for (auto& c : text)
        c = c == '0' ? '\0' : c;
    return text;
}

const std::vector<example>& examples()
{
    static const std::vector<example> all{
        {"mark: one",
         "\xef\xbb\xbf"
         "data:a\n\n",
         {"message|a"}},
        {"mark: the second is a part of a name",
         "\xef\xbb\xbf\xef\xbb\xbf"
         "data:a\n\ndata:b\n\n",
         {"message|b"}},
        {"mark: not in the middle",
         "data:a\n\n\xef\xbb\xbf"
         "data:b\n\ndata:c\n\n",
         {"message|a", "message|c"}},
        {"mark: a third of one",
         "\xef"
         "data:a\n\ndata:b\n\n",
         {"message|b"}},
        {"mark: two thirds of one",
         "\xef\xbb"
         "data:a\n\ndata:b\n\n",
         {"message|b"}},
        {"mark: alone", "\xef\xbb\xbf", {}},
        {"mark: in front of a comment", "\xef\xbb\xbf:x\ndata:a\n\n", {"message|a"}},
        {"comments", "data:a\n:\n:data:b\n::\r:c\r\n:\xff\ndata:d\n:e\n\n", {"message|a\nd"}},
        {"comments: a very long one",
         ":" + std::string(70'000, 'x') + "\n\ndata:a\n:" + std::string(70'000, 'y') + "\n\n",
         {"message|a"}},
        {"data before the end", "data:a\n\ndata:b", {"message|a"}},
        {"data before the end, with the end of its line", "data:a\n\ndata:b\n", {"message|a"}},
        {"a lone CR is an end", "data:a\r\rdata:b\r\r", {"message|a", "message|b"}},
        {"CR LF is one end", "data:a\r\ndata:b\r\n\r\n", {"message|a\nb"}},
        {"all ends mixed",
         "data:a\rdata:b\ndata:c\r\n\rdata:d\n\r\n",
         {"message|a\nb\nc", "message|d"}},
        {"LF CR are two ends", "data:a\n\rdata:b\n\r", {"message|a", "message|b"}},
        {"data: a space in front is left out",
         "data: a\n\ndata:  b\n\ndata:\tc\n\n",
         {"message|a", "message| b", "message|\tc"}},
        {"data: empty", "data:\n\ndata\n\ndata: \n\n", {"message|", "message|", "message|"}},
        {"data: empty lines count",
         "data\ndata\n\ndata:\ndata:a\ndata:\n\n",
         {"message|\n", "message|\na\n"}},
        {"data: with colons", "data:a:b: c\n\n", {"message|a:b: c"}},
        {"names are exact", "Data:a\ndata :b\n data:c\ndatax:d\ndat:e\ndata:f\n\n", {"message|f"}},
        {"unknown names", "a:b\ndata:c\nx\n\n", {"message|c"}},
        {"NUL in a name and in data", with_nul("data0:a\ndata:b0c\n\n"), {with_nul("message|b0c")}},
        {"event", "event:one\ndata:a\n\ndata:b\n\n", {"one|a", "message|b"}},
        {"event: the last one counts", "event:one\nevent: two\ndata:a\n\n", {"two|a"}},
        {"event: empty",
         "event:one\nevent:\ndata:a\n\nevent\ndata:b\n\n",
         {"message|a", "message|b"}},
        {"event: not without data", "event:one\n\ndata:a\n\n", {"message|a"}},
        {"id",
         "id:1\ndata:a\n\ndata:b\n\nid: 2\ndata:c\n\n",
         {"message|a|1", "message|b|1", "message|c|2"},
         "2"},
        {"id: reset",
         "id:1\ndata:a\n\nid\ndata:b\n\nid:2\ndata:c\n\nid:\ndata:d\n\n",
         {"message|a|1", "message|b", "message|c|2", "message|d"}},
        {"id: with NUL is left out",
         with_nul("id:1\ndata:a\n\nid:20\ndata:b\n\nid:0\ndata:c\n\n"),
         {"message|a|1", "message|b|1", "message|c|1"},
         "1"},
        {"id: without data is remembered",
         "id:1\n\nid:2\nid:3\n\ndata:a\n\n",
         {"message|a|3"},
         "3"},
        {"id: of what is not whole is not", "id:1\ndata:a\n\nid:2\ndata:b", {"message|a|1"}, "1"},
        {"id: of what is not whole is not, with a line end", "id:1\n\nid:2\n", {}, "1"},
        {"id: not UTF-8", "id:\xff\xc3\ndata:a\n\n", {"message|a|\xff\xc3"}, "\xff\xc3"},
        {"retry", "retry:1000\ndata:a\n\n", {"message|a"}, "", milliseconds(1000)},
        {"retry: alone", "retry: 5\n\n", {}, "", milliseconds(5)},
        {"retry: not of an event", "retry:7\n", {}, "", milliseconds(7)},
        {"retry: digits only",
         "retry:1\nretry:1000x\nretry:x\nretry:-1\nretry:1.5\nretry: 2 \nretry:+3\n\n",
         {},
         "",
         milliseconds(1)},
        {"retry: empty", "retry:3\nretry\nretry:\nretry: \n\n", {}, "", milliseconds(3)},
        {"retry: leading zeros", "retry:0000000000000000000000004\n\n", {}, "", milliseconds(4)},
        {"retry: none", "retry:0\n\n", {}, "", milliseconds(0)},
        {"retry: at most a day",
         "retry:99999999999999999999999999999999999999\n\n",
         {},
         "",
         milliseconds(24 * 3600 * 1000)},
        {"bytes beyond ASCII",
         "data:\xc3\xa4\xe2\x80\xa8\xc2\x85\x0b\x0c\n\n",
         {"message|\xc3\xa4\xe2\x80\xa8\xc2\x85\x0b\x0c"}},
        {"nothing", "", {}},
        {"ends only", "\n\r\n\r\n\n\n", {}},
    };
    return all;
}

TEST_CASE("a stream of events means the same wherever it is split")
{
    for (const auto& each : examples()) {
        CAPTURE(each.about);
        const bool is_long = each.stream.size() > 1000;
        const auto splits = is_long ? std::vector{in_parts_of(each.stream.size(), each.stream),
                                                  in_parts_of(1, each.stream)}
                                    : every_split(each.stream);
        for (const auto& parts : splits) {
            event_parser parser(60'000);
            CHECK(parsed(parser, parts) == each.expected);
            CHECK(parser.last_id() == each.last_id);
            CHECK(parser.retry() == each.retry);
        }
    }
}

TEST_CASE("an event is there with the last byte that it needs")
{
    for (const std::string end : {"\n", "\r", "\r\n"}) {
        CAPTURE(end.size());
        event_parser parser(100);
        const auto stream = "data:a" + end + end;
        const auto needed = stream.size() - (end.size() == 2 ? 1 : 0); // not the LF behind the CR
        CHECK(parsed(parser, {std::string_view(stream).substr(0, needed - 1)}).empty());
        CHECK(parsed(parser, {std::string_view(stream).substr(needed - 1, 1)}) ==
              events{"message|a"});
        CHECK(parsed(parser, {std::string_view(stream).substr(needed)}).empty());
        CHECK(parsed(parser, {"data:b\n\n"}) == events{"message|b"});
    }
}

TEST_CASE("an event may be as large as its reader takes, and not one byte more")
{
    for (const std::size_t most : {5U, 20U, 100'000U}) {
        CAPTURE(most);
        const std::string fits = "data:" + std::string(most - 5, 'x');
        for (const std::size_t part : {std::size_t(1), std::size_t(10), most * 2}) {
            event_parser parser(most);
            const auto twice = fits + "\n\n:" + fits + "\n" + fits + "\n\n";
            CHECK(parsed(parser, in_parts_of(part, twice)).size() == 2);
            CHECK(!parser.is_too_large());
            CHECK(parsed(parser, in_parts_of(part, fits + "x")).empty());
            CHECK(parser.is_too_large());
            CHECK(parser.put("\n\ndata:a\n\n") == 0); // and takes no more
        }
    }
    // Lines without an end, without data, and ones that only replace each other.
    for (const std::string line : {"x", "id:1\n", "event:\n", "data\n", "retry:1\n", "data:\r"}) {
        CAPTURE(line);
        event_parser parser(1000);
        std::string stream;
        while (stream.size() < 3000)
            stream += line;
        CHECK(parsed(parser, {stream}).empty());
        CHECK(parser.is_too_large());
    }
}

TEST_CASE("a stream that is resumed keeps its id until it names another")
{
    event_parser parser(100, "7");
    CHECK(parser.last_id() == "7");
    CHECK(parsed(parser, {"data:a\n\nid:8\ndata:b\n\n"}) == events{"message|a|7", "message|b|8"});
}

struct read_events : end_of_reader {
    events all;
};

asio::awaitable<read_events> read(http::incoming_response& from, std::size_t most)
{
    read_events seen;
    http::event_reader reader(from, most);
    const auto keep = [&](const http::server_sent_event& e) { seen.all.push_back(in_words(e)); };
    static_cast<end_of_reader&>(seen) = co_await read_to_end(reader, keep);
    co_return seen;
}

read_events read(fed_response& from, std::size_t most = http::event_reader::default_most)
{
    asio::io_context context;
    return run_on(context, read(static_cast<http::incoming_response&>(from), most));
}

struct stream_of : fed_response {
    stream_of(std::string_view body, std::size_t part) : fed_response(body, part)
    {
        given.status = 200;
        given.headers.add("Content-Type", "text/event-stream");
    }
};

TEST_CASE("a reader of events gives what it can before it says what is wrong")
{
    stream_of cut("data:a\n\ndata:b\n\ndata:c\n", 100);
    cut.then = std::make_exception_ptr(
        http::error(errc::incomplete, {.stage = stage::body}, "GET http://h/"));
    auto seen = read(cut);
    CHECK(seen.all == events{"message|a", "message|b"});
    CHECK(seen.ec == errc::incomplete);

    stream_of large("data:a\n\ndata:secret\n\n", 100);
    seen = read(large, 10);
    CHECK(seen.all == events{"message|a"});
    CHECK(seen.ec == errc::event_too_large);
    CHECK(seen.ec == condition::limit);
    CHECK(seen.why.starts_with("http event_reader, status 200, stage body: an event is larger than "
                               "its event_reader takes"));
    CHECK(seen.why.find("secret") == std::string::npos);
}

TEST_CASE("what is no stream of events is not read as one")
{
    const auto seen_of = [](int status, const char* type) {
        stream_of from("data:secret\n\n", 100);
        from.given.status = status;
        from.given.headers.clear();
        if (type != nullptr)
            from.given.headers.add("Content-Type", type);
        auto seen = read(from);
        CHECK((seen.ec ? from.reads == 0 : seen.all.size() == 1));
        return seen;
    };
    for (const auto* type :
         {"text/event-stream", "Text/Event-Stream;charset=utf-8", "text/event-stream ; x=y"})
        CHECK(!seen_of(200, type).ec);
    for (const auto* type : {"text/html", "", "text/event-streams", "text/event-stream,text/html"})
        CHECK(seen_of(200, type).ec == errc::no_event_stream);
    CHECK(seen_of(200, nullptr).ec == errc::no_event_stream);
    CHECK(seen_of(204, "text/event-stream").ec == errc::no_event_stream);
    const auto refused = seen_of(500, "application/secret+json");
    CHECK(refused.ec == errc::no_event_stream);
    CHECK(refused.ec == condition::protocol);
    CHECK(refused.why.starts_with("http event_reader, status 500, stage body: this is no stream of "
                                  "events: it is not 200, or not text/event-stream"));
    CHECK(refused.why.find("secret") == std::string::npos);
}

TEST_CASE("the largest event in small parts is read in one go through it")
{
    const std::string data(http::event_reader::default_most - 5, 'x');
    const auto stream = "data:" + data + "\n\n";
    stream_of from(stream, 10);
    const auto seen = read(from);
    CHECK(seen.all == events{"message|" + data});
    CHECK(from.reads == (stream.size() + 9) / 10 + 1);
}

TEST_CASE("http: events are read from a server as they come, also where CR ends them")
{
    with_each_client([](combination what, bool secure) {
        linked l(what, secure, [](http_peer::caller& c) {
            c.read_request();
            c.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n8\r\ndata:a\r\r\r\n");
            c.peer().await_note("a");
            c.write("a\r\n\ndata:b\r\n\r\r\n");
            c.peer().await_note("b");
            c.write("9\r\n\ndata:c\n\n\r\n0\r\n\r\n");
        });
        events all;
        const auto reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
            http::event_reader from(in);
            while (const auto event = co_await from.next()) {
                all.push_back(event->data);
                l.peer.note(event->data);
            }
        };
        run_on(*l.context, l.client->with_response({"GET", "/"}, reader));
        CHECK(all == events{"a", "b", "c"});
    });
}

} // namespace

} // namespace events_tests
