// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
#include <loopsafe/http/multipart.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <http/each_client.hpp>
#include <http/support.hpp>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <support/texts.hpp>
#include <unistd.h>
#include <vector>

namespace multipart_tests {

namespace {

using namespace http_test;
using http::multipart;
using http::request_body;
using http::with_parts;

std::string boundary_of(std::string_view content_type)
{
    constexpr std::string_view before = "multipart/form-data; boundary=";
    REQUIRE(content_type.starts_with(before));
    return std::string(content_type.substr(before.size()));
}

// The same with a boundary that can be foreseen.
std::string plainly(std::string text, const std::string& boundary)
{
    for (auto at = text.find(boundary); at != std::string::npos; at = text.find(boundary))
        text.replace(at, boundary.size(), "B");
    return text;
}

TEST_CASE("parts are written as a browser does")
{
    request asked("POST", "/", "old");
    asked.headers.add("content-type", "text/plain");
    const auto made = with_parts(
        asked,
        multipart().text("a", "1\n2").text("", "").file("f", "me.png", "image/png", "\x89PNG"));
    CHECK(made.method == "POST");
    CHECK(made.headers.count("Content-Type") == 1);
    const auto boundary = boundary_of(made.headers["Content-Type"]);
    CHECK(!made.body.is_streamed());
    CHECK(plainly(made.body.bytes(), boundary) ==
          "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\n2\r\n"
          "--B\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n"
          "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"me.png\"\r\n"
          "Content-Type: image/png\r\n\r\n\x89PNG\r\n"
          "--B--\r\n");
    const auto empty = with_parts(asked, multipart());
    CHECK(plainly(empty.body.bytes(), boundary_of(empty.headers["Content-Type"])) == "--B--\r\n");
    multipart kept;
    kept.text("a", "1");
    kept.file("f", "", "text/plain", "");
    const auto first = with_parts(asked, kept);
    CHECK(plainly(first.body.bytes(), boundary_of(first.headers["Content-Type"])) ==
          "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
          "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n"
          "Content-Type: text/plain\r\n\r\n\r\n--B--\r\n");
}

TEST_CASE("no name of a part can end its own")
{
    const auto head_of = [](std::string_view name) {
        const auto made = with_parts(request("POST", "/"), multipart().text(name, ""));
        const std::string all = made.body.bytes();
        const auto begin = all.find("name=") + 5;
        return all.substr(begin, all.find("\r\n", begin) - begin);
    };
    CHECK(head_of("a\"b") == "\"a%22b\"");
    CHECK(head_of("a\r\nX: y") == "\"a%0D%0AX: y\"");
    CHECK(head_of("a\\") == "\"a%5C\"");
    CHECK(head_of("a%22;b=c") == "\"a%22;b=c\"");
    CHECK(head_of("\xc3\xa4 \xe2\x82\xac") == "\"\xc3\xa4 \xe2\x82\xac\"");
    CHECK(head_of(std::string("\0\t\x7f", 3)) == "\"%00%09%7F\"");
    const auto type_of = [](std::string_view type) {
        const auto e = thrown_by<http::error>([&] { multipart().file("f", "f", type, ""); });
        CHECK(e.code() == errc::bad_field_value);
        CHECK(e.code() == condition::bad_request);
        CHECK(e.stage() == stage::prepare);
        return std::string(e.what());
    };
    CHECK(type_of("text/plain\r\nX: y")
              .starts_with(
                  "http multipart, the type of a file: byte 11 is \"\\x0d\", stage prepare"));
    CHECK(
        type_of("").starts_with("http multipart, the type of a file: it is empty, stage prepare"));
}

TEST_CASE("a boundary cannot be foreseen")
{
    std::set<std::string> all;
    std::array<std::set<char>, 32> digits;
    for (int i = 0; i != 500; ++i) {
        const auto made = with_parts(request("POST", "/"), multipart());
        const auto boundary = boundary_of(made.headers["Content-Type"]);
        REQUIRE(boundary.size() == 41);
        CHECK(boundary.find_first_not_of("0123456789abcdef", 9) == std::string::npos);
        CHECK(boundary.starts_with("loopsafe-"));
        all.insert(boundary);
        for (std::size_t at = 0; at != digits.size(); ++at)
            digits[at].insert(boundary[9 + at]);
    }
    CHECK(all.size() == 500);
    for (const auto& seen : digits) // one of 16 is missing once in 10^12
        CHECK(seen.size() == 16);
}

std::string hostile_name(std::mt19937& random)
{
    static const std::vector<std::string> words{"\"",
                                                "\"",
                                                "\\",
                                                "\\",
                                                "\r",
                                                "\n",
                                                "\r\n",
                                                "\r\n\r\n",
                                                ";",
                                                "=",
                                                "--",
                                                " ",
                                                "\t",
                                                ":",
                                                "%",
                                                "%22",
                                                "%0D%0A",
                                                "'",
                                                "*",
                                                "/",
                                                ",",
                                                "(",
                                                ")",
                                                "<",
                                                "?",
                                                "name=\"",
                                                "; filename=\"x",
                                                "filename*=utf-8''x",
                                                "Content-Type: text/html",
                                                "Content-Disposition: form-data",
                                                "form-data",
                                                "--loopsafe-",
                                                "--\r\n",
                                                "\xc3\xa4",
                                                "\xe2\x80\xa8",
                                                "\xff",
                                                "=?utf-8?q?x?=",
                                                "..",
                                                "C:\\x",
                                                std::string(1, '\0'),
                                                "\x0b",
                                                "\x0c",
                                                "\x1c",
                                                "\x7f",
                                                "\xc2\x85",
                                                "a",
                                                "Z",
                                                "0"};
    std::string name;
    for (auto left = random() % 9; left != 0; --left)
        name += words[random() % words.size()];
    return name;
}

std::string in_hex(std::string_view text)
{
    std::string hex;
    for (const char c : text) {
        hex += "0123456789abcdef"[static_cast<unsigned char>(c) / 16];
        hex += "0123456789abcdef"[static_cast<unsigned char>(c) % 16];
    }
    return hex;
}

// What a strict reader makes of a name: the bytes, some of them as %XX.
std::string as_read(const std::string& name)
{
    std::string read;
    for (const char c : name) {
        std::array<char, 4> encoded{c};
        if (std::string_view("\"\\\x7f").find(c) != std::string_view::npos || (c >= 0 && c < 0x20))
            std::snprintf(encoded.data(), encoded.size(), "%%%02X", static_cast<unsigned>(c));
        read += c == '\0' ? "%00" : encoded.data();
    }
    return read;
}

constexpr std::string_view python_reader = R"(
import email, sys
text = open(sys.argv[1], "rb").read().decode("latin-1")
for part in email.message_from_string(text).get_payload():
    assert set(part.keys()) <= {"Content-Disposition", "Content-Type"}, part.keys()
    names = dict(part.get_params(header="content-disposition"))
    assert names.keys() == {"form-data", "name", "filename"}, names
    assert part.get_content_type() == "text/plain" and not part.defects
    print(*(s.encode("latin-1").hex() for s in (names["name"], names["filename"], part.get_payload())), sep=":")
)";

TEST_CASE("Python reads 10000 hostile names back")
{
    std::mt19937 random(19);
    multipart parts;
    std::string expected;
    for (int i = 0; i != 10'000; ++i) {
        const auto name = hostile_name(random);
        const auto filename = hostile_name(random);
        const auto content = hostile_name(random);
        parts.file(name, filename, "text/plain", content);
        expected +=
            in_hex(as_read(name)) + ":" + in_hex(as_read(filename)) + ":" + in_hex(content) + "\n";
    }
    const auto made = with_parts(request("POST", "/"), parts);
    const auto path = std::filesystem::temp_directory_path() /
                      ("loopsafe_multipart_" + std::to_string(::getpid()));
    std::ofstream(path, std::ios::binary)
        << "Content-Type: " << made.headers["Content-Type"] << "\r\n\r\n"
        << made.body.bytes();
    const auto script = path.string() + ".py";
    std::ofstream(script) << python_reader;
    std::FILE* const out = ::popen(("python3 -B " + script + " " + path.string()).c_str(), "r");
    REQUIRE(out != nullptr);
    std::string read;
    std::array<char, 65536> part;
    for (std::size_t n = 0; (n = std::fread(part.data(), 1, part.size(), out)) != 0;)
        read.append(part.data(), n);
    CHECK(::pclose(out) == 0);
    std::filesystem::remove(path);
    std::filesystem::remove(script);
    std::istringstream lines(read);
    std::istringstream meant(expected);
    std::string line;
    std::string wanted;
    int same = 0;
    while (std::getline(meant, wanted) && std::getline(lines, line)) {
        if (line != wanted) {
            CHECK(line == wanted);
            break;
        }
        ++same;
    }
    CHECK(same == 10'000);
    CHECK(!std::getline(lines, line));
}

// What a body in chunks holds, or nothing where it does not end.
std::string without_chunks(std::string_view framed)
{
    std::string all;
    for (;;) {
        const auto end = framed.find("\r\n");
        if (end == std::string_view::npos)
            return {};
        const auto size = std::stoul(std::string(framed.substr(0, end)), nullptr, 16);
        if (size == 0)
            return all;
        all += framed.substr(end + 2, size);
        framed.remove_prefix(std::min(end + 2 + size + 2, framed.size()));
    }
}

// Writes so many bytes in parts.
auto writer_of(std::size_t size, std::shared_ptr<int> calls = {})
{
    return [size, calls](http::body_writer& out) -> asio::awaitable<void> {
        if (calls != nullptr)
            ++*calls;
        out.trailers.add("X-Lost", "1");
        for (std::size_t left = size; left != 0;) {
            const auto n = std::min<std::size_t>(left, 1000);
            if (!co_await out.write(std::string(n, 's')))
                break;
            left -= n;
        }
    };
}

TEST_CASE("http: files of every kind are sent in their order, with a length where all have one")
{
    with_each_client([](combination what, bool secure) {
        linked l(what, secure, [](http_peer::caller& c) {
            for (;;) {
                const auto got = c.read_request();
                if (got.empty())
                    break;
                c.peer().note(got);
                c.write(answer("ok"));
            }
        });
        const std::string large(100'000, 'l');
        const auto known = writer_of(2500);
        const auto none = writer_of(0);
        for (const bool has_length : {true, false}) {
            const auto length = has_length ? std::optional<std::uint64_t>(2500) : std::nullopt;
            const auto made =
                with_parts(request("POST", "/"),
                           multipart()
                               .text("a", "1")
                               .file("l", "l", "text/plain", large)
                               .file("s", "s", "text/plain", request_body::streamed(known, length))
                               .file("n", "n", "text/plain", request_body::streamed(none, 0))
                               .text("z", "26"));
            CHECK(made.body.length().has_value() == has_length);
            CHECK(!made.body.repeatable());
            const auto s = l.send(made);
            CHECK(s.answer.body == "ok");
            const auto got = l.peer.notes().back();
            CHECK((got.find("\r\nContent-Length: ") != std::string::npos) == has_length);
            CHECK((got.find("\r\nTransfer-Encoding: chunked") != std::string::npos) != has_length);
            CHECK(got.find("X-Lost") == std::string::npos);
            const auto file = [](const std::string& name) {
                return "--B\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"" +
                       name + "\"\r\nContent-Type: text/plain\r\n\r\n";
            };
            const auto sent = got.substr(got.find("\r\n\r\n") + 4);
            const auto body = plainly(has_length ? sent : without_chunks(sent),
                                      boundary_of(made.headers["Content-Type"]));
            const auto expected = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n" +
                                  file("l") + large + "\r\n" + file("s") + std::string(2500, 's') +
                                  "\r\n" + file("n") +
                                  "\r\n--B\r\nContent-Disposition: form-data; "
                                  "name=\"z\"\r\n\r\n26\r\n--B--\r\n";
            CHECK((body == expected));
        }
    });
}

TEST_CASE("http: parts that may be written again are, on a new connection")
{
    linked l(combination::keep_alive_on_context, false, [](http_peer::caller& c) {
        for (int i = 0;; ++i) {
            const auto got = c.read_request();
            if (got.empty())
                break;
            c.peer().note(got.substr(got.find("\r\n\r\n")));
            if (c.number() == 0 && i == 1)
                return; // takes the second request, and leaves
            c.write(answer("ok"));
        }
    });
    const auto calls = std::make_shared<int>(0);
    const auto make = writer_of(10, calls);
    const auto made =
        with_parts(request("PUT", "/"),
                   multipart()
                       .file("s", "s", "text/plain", request_body::streamed(make, 10, true))
                       .file("l", "l", "text/plain", std::string(70'000, 'l')));
    CHECK(made.body.repeatable());
    CHECK(l.get("/").answer.body == "ok");
    const auto s = l.send(made);
    CHECK(s.answer.body == "ok");
    CHECK(s.evidence.replayed);
    CHECK(*calls == 2);
    const auto notes = l.peer.notes();
    REQUIRE(notes.size() == 3);
    CHECK((notes[1] == notes[2]));
}

TEST_CASE("http: a part that is longer or shorter than announced fails the request, by name")
{
    with_each_client([](combination what, bool secure) {
        linked l(what, secure, [](http_peer::caller& c) {
            if (c.read_request().ends_with("--\r\n"))
                c.peer().note("a whole request");
        });
        const auto shorter = writer_of(999);
        const auto longer = writer_of(1001);
        const auto sent = [&](const auto& first, const auto& second) {
            const auto made = with_parts(
                request("POST", "/"),
                multipart()
                    .file("one", "s", "text/plain", request_body::streamed(first, 1000))
                    .file("two", "s", "text/plain", request_body::streamed(second, 1000)));
            const auto s = l.send(made);
            CHECK(s.ec == errc::bad_length);
            return text_of(s.error);
        };
        // Together they are right.
        CHECK(sent(shorter, longer)
                  .starts_with("http multipart \"one\", announced with 1000 bytes, ends after 999 "
                               "bytes, stage write"));
        CHECK(sent(longer, shorter)
                  .starts_with("http multipart \"one\", announced with 1000 bytes, goes on, stage "
                               "write"));
        const auto stubborn = [&](http::body_writer& out) -> asio::awaitable<void> {
            for (int i = 0; i != 3; ++i) {
                try {
                    co_await out.write(std::string(600, 's'));
                } catch (const http::error&) {
                }
            }
        };
        CHECK(sent(stubborn, shorter).starts_with("http multipart \"one\", announced with 1000 "));
        CHECK(l.peer.notes().empty());
    });
}

TEST_CASE("http: a server that wants no more parts gets no more")
{
    with_each_client([](combination what, bool secure) {
        linked l(what, secure, [](http_peer::caller& c) {
            c.read_until("\r\n\r\n");
            c.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
            c.peer().await_note("done");
        });
        int later = 0;
        const auto endless = [](http::body_writer& out) -> asio::awaitable<void> {
            while (co_await out.write(std::string(10'000, 's'))) {}
        };
        const auto counted = [&later](http::body_writer&) -> asio::awaitable<void> {
            ++later;
            co_return;
        };
        auto made = with_parts(
            request("POST", "/"),
            multipart()
                .file("e", "e", "text/plain", request_body::streamed(endless, 1'000'000'000'000))
                .file("c", "c", "text/plain", request_body::streamed(counted, 0)));
        const auto s = l.send(std::move(made));
        l.peer.note("done");
        CHECK(s.answer.status == 413);
        CHECK(s.answer.body == "big");
        CHECK(later == 0);
    });
}

} // namespace

} // namespace multipart_tests
