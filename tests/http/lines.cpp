// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
#include <loopsafe/http/lines.hpp>

#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <http/each_client.hpp>
#include <http/fed_response.hpp>
#include <http/support.hpp>
#include <string>
#include <string_view>
#include <support/texts.hpp>
#include <vector>

namespace lines_tests {

namespace {

using namespace http_test;

struct read_lines : end_of_reader {
    std::vector<std::string> lines;
};

asio::awaitable<read_lines> read(http::incoming_response& from, std::size_t most)
{
    read_lines all;
    http::line_reader reader(from, most);
    const auto keep = [&](std::string_view line) { all.lines.emplace_back(line); };
    static_cast<end_of_reader&>(all) = co_await read_to_end(reader, keep);
    co_return all;
}

read_lines read(fed_response from, std::size_t most = 100)
{
    asio::io_context context;
    return run_on(context, read(static_cast<http::incoming_response&>(from), most));
}

using lines = std::vector<std::string>;

TEST_CASE("lines end with LF or CR LF, and the last one needs no end, wherever the body is split")
{
    const std::vector<std::pair<std::string, lines>> cases{
        {"", {}},
        {"\n", {""}},
        {"\r\n", {""}},
        {"a", {"a"}},
        {"a\n", {"a"}},
        {"a\r\n", {"a"}},
        {"a\r", {"a\r"}},
        {"\r", {"\r"}},
        {"a\nb", {"a", "b"}},
        {"a\r\nb\nc\r\n", {"a", "b", "c"}},
        {"a\n\nb\n\n", {"a", "", "b", ""}},
        {"a\rb\nc\r\r\nd", {"a\rb", "c\r", "d"}},
        {std::string("a\0b\n\xff\n", 6), {std::string("a\0b", 3), "\xff"}},
    };
    for (const auto& [body, expected] : cases) {
        CAPTURE(body);
        for (std::size_t part = 1; part <= body.size() + 1; ++part) {
            const auto all = read(fed_response(body, part));
            CHECK(!all.ec);
            CHECK(all.lines == expected);
        }
        for (std::size_t cut = 1; cut < body.size(); ++cut) {
            const std::string_view whole = body;
            CHECK(read(fed_response({whole.substr(0, cut), whole.substr(cut)})).lines == expected);
        }
    }
}

TEST_CASE("a line may have as many bytes as its reader takes, and not one more")
{
    for (const std::size_t most : {0U, 1U, 10U, 4094U, 4095U, 4096U, 5000U, 100'000U}) {
        for (const std::size_t part : {1U, 3U, 4096U, 1'000'000U}) {
            if (part == 1 && most > 5000)
                continue; // takes long
            for (const std::string end : {"", "\n", "\r\n"}) {
                CAPTURE(most);
                CAPTURE(part);
                const std::string fits(most, 'x');
                lines expected{"", fits};
                if (most == 0 && end.empty())
                    expected.pop_back();
                auto all = read(fed_response("\n" + fits + end, part), most);
                CHECK(!all.ec);
                CHECK(all.lines == expected);
                all = read(fed_response("\n" + fits + "x" + end, part), most);
                CHECK(all.ec == errc::line_too_long);
                CHECK(all.ec == condition::limit);
                CHECK(all.lines == lines{""}); // what came before it is given
                CHECK(all.why.starts_with("http line_reader, stage body: a line is longer than "
                                          "its line_reader takes"));
            }
        }
    }
    const auto all = read(fed_response("a\nb", 1), static_cast<std::size_t>(-1));
    CHECK(all.lines == lines{"a", "b"});
}

TEST_CASE("a line that never ends needs no more memory than a line may have")
{
    const std::string endless(1'000'000, 'x');
    fed_response from(endless, endless.size());
    asio::io_context context;
    CHECK(run_on(context, read(static_cast<http::incoming_response&>(from), 10'000)).ec ==
          errc::line_too_long);
    CHECK(from.largest_room <= 20'002);
    CHECK(from.reads < 10);
}

TEST_CASE("lines in the smallest parts take as many reads as there are parts")
{
    std::string body;
    lines expected;
    for (int i = 0; i != 20'000; ++i) {
        expected.push_back("line " + std::to_string(i));
        body += expected.back() + "\n";
    }
    for (const std::size_t part : {1U, 7U, 4096U}) {
        fed_response from(body, part);
        asio::io_context context;
        const auto all = run_on(context, read(static_cast<http::incoming_response&>(from), 20));
        CHECK(all.lines == expected);
        const auto parts = (body.size() + part - 1) / part;
        CHECK(from.reads >= parts + 1);
        CHECK(from.reads <= 2 * parts + 1);
    }
}

TEST_CASE("an error behind some lines comes after them")
{
    asio::io_context context;
    fed_response from("a\nb\nc", 100);
    from.then = std::make_exception_ptr(
        http::error(errc::incomplete, {.stage = stage::body}, "GET http://h/"));
    const auto all = run_on(context, read(static_cast<http::incoming_response&>(from), 100));
    CHECK(all.lines == lines{"a", "b"}); // half a line is not given
    CHECK(all.ec == errc::incomplete);
}

TEST_CASE("http: lines are read from a server as they come")
{
    with_each_client([](combination what, bool secure) {
        linked l(what, secure, [](http_peer::caller& c) {
            c.read_request();
            c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
            c.peer().await_note("nothing yet");
            c.write("1\r\n\n\r\n4\r\ntwo\r\r\n");
            c.peer().await_note("one");
            c.write("6\r\n\nthree\r\n0\r\n\r\n");
        });
        lines all;
        const auto reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
            http::line_reader from(in, 10);
            l.peer.note("nothing yet");
            while (const auto line = co_await from.next()) {
                all.emplace_back(*line);
                l.peer.note(all.back());
            }
        };
        run_on(*l.context, l.client->with_response({"GET", "/"}, reader));
        CHECK(all == lines{"one", "two", "three"});
    });
}

} // namespace

} // namespace lines_tests
