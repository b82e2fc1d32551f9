// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// What is checked before a byte is sent: URLs, fields, and what becomes of them.

#include <loopsafe/http/detail/wire/keep_alive_hint.hpp>
#include <loopsafe/http/detail/wire/request_head.hpp>
#include <loopsafe/http/fields.hpp>
#include <loopsafe/http/options.hpp>
#include <loopsafe/http/url.hpp>
#include <loopsafe/pool/event.hpp>

#include <doctest/doctest.h>

#include <string>
#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <utility>
#include <vector>

namespace text_tests {

namespace {

using namespace support;
using namespace loopsafe::http;

std::string why_not(std::string_view text)
{
    const auto refused = thrown_by<error>([&] { parse_url(text); });
    CHECK(refused.code() == errc::bad_url);
    CHECK(refused.code() == condition::bad_request);
    CHECK(refused.stage() == stage::prepare);
    return refused.what();
}

TEST_CASE("a URL is taken apart, and equal origins are equal")
{
    const std::vector<std::pair<std::string, std::string>> cases{
        {"http://example.org", "http://example.org/"},
        {"HTTP://EXAMPLE.org:80/", "http://example.org/"},
        {"https://example.org:443/a/b?c=d#e", "https://example.org/a/b?c=d"},
        {"https://example.org:80", "https://example.org:80/"},
        {"http://example.org:", "http://example.org/"},
        {"http://example.org?q", "http://example.org/?q"},
        {"http://example.org#f", "http://example.org/"},
        {"http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"},
        {"http://[::1]:8080/x", "http://[::1]:8080/x"},
        {"http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"},
        {"http://a-b_c.d/|[]{}^\"<>\\%zz", "http://a-b_c.d/|[]{}^\"<>\\%zz"},
        {"http://h:65535/", "http://h:65535/"},
        {"http://h/@:user", "http://h/@:user"},
        {"http://h/?http://other/", "http://h/?http://other/"},
        {"http://h/a b?c d#e f", "http://h/a%20b?c%20d"},
        {"http://h/\xc3\xa4?\xff", "http://h/%C3%A4?%FF"},
        {"http://h/%20%", "http://h/%20%"},
        // RFC 3986, 5.2.4 and 5.4
        {"http://h/a/b/c/./../../g", "http://h/a/g"},
        {"http://h/.", "http://h/"},
        {"http://h/..", "http://h/"},
        {"http://h/../../g", "http://h/g"},
        {"http://h/b/c/.", "http://h/b/c/"},
        {"http://h/b/c/..", "http://h/b/"},
        {"http://h/b/c/../", "http://h/b/"},
        {"http://h/b/c/./g/.", "http://h/b/c/g/"},
        {"http://h/b/c/g.", "http://h/b/c/g."},
        {"http://h/b/c/..g", "http://h/b/c/..g"},
        {"http://h/.well-known/x", "http://h/.well-known/x"},
        {"http://h/b/c/g;x=1/../y", "http://h/b/c/y"},
        {"http://h/b/c/d?y/../x", "http://h/b/c/d?y/../x"},
        {"http://h/a//../b", "http://h/a/b"},
        {"http://h/a/%2e%2e/b", "http://h/a/%2e%2e/b"},
    };
    for (const auto& [text, normal] : cases) {
        CAPTURE(text);
        const auto parsed = parse_url(text);
        CHECK(parsed.to_string() == normal);
        CHECK(parse_url(normal).origin == parsed.origin);
    }
    CHECK(parse_url("http://[::1]:81/").origin.authority() == "[::1]:81");
    CHECK(parse_url("https://h").origin.port == 443);
}

TEST_CASE("a URL that could be read in two ways is refused, and the error says why")
{
    const std::vector<std::pair<std::string, std::string>> cases{
        {"", "must begin with http"},
        {"/path", "must begin with http"},
        {"ftp://h/", "must begin with http"},
        {"http:/h/", "must begin with http"},
        {"httpx://h/", "must begin with http"},
        {"http://", "no host"},
        {"http:///path", "no host"},
        {"http://:80/", "no host"},
        {"http://user@h/", "user and a password"},
        {"http://user:secret@h/", "user and a password"},
        {"http://h@other/", "user and a password"},
        {"http://h:80@other/", "user and a password"},
        {"http://.h/", "not a valid name"},
        {"http://" + std::string(254, 'a') + '/', "not a valid name"},
        {"http://h:0/", "1 to 65535"},
        {"http://h:65536/", "1 to 65535"},
        {"http://h:99999999999999999999/", "1 to 65535"},
        {"http://h:8a/", "a host must consist"},
        {"http://h:-1/", "a host must consist"},
        {"http://a b/", "a host must consist"},
        {"http://a%2eb/", "a host must consist"},
        {"http://a\\b/", "a host must consist"},
        {"http://\xc3\xa4.de/", "a host must consist"},
        {std::string("http://a\0b/", 11), "a host must consist"},
        {"http://a\r\nX: y/", "a host must consist"},
        {"http://[::1/", "not closed"},
        {"http://[::1]x/", "a host must consist"},
        {"http://[fe80::1%eth0]/", "without a zone"},
        {"http://[127.0.0.1]/", "IPv6 address"},
        {"http://[]/", "no host"},
        {"http://h/\r\nX: y", "%XX"},
        {"http://h/\t", "%XX"},
        {std::string("http://h/\0", 10), "%XX"},
        {"http://h/\x7f", "%XX"},
    };
    for (const auto& [text, because] : cases) {
        CAPTURE(text);
        const auto said = why_not(text);
        CAPTURE(said);
        CHECK(said.find(because) != std::string::npos);
        CHECK(said.find('\r') == std::string::npos);
    }
}

TEST_CASE("fields keep their order, and compare names without regard to case")
{
    fields f{{"Accept", "text/plain"}, {"X-Two", "1"}, {"x-two", "2"}};
    CHECK(f.size() == 3);
    CHECK(f["ACCEPT"] == "text/plain");
    CHECK(f["x-TWO"] == "1");
    CHECK(f["absent"].empty());
    CHECK(!f.find("x-tw"));
    f.set("x-two", f["accept"]); // a view of what is being changed
    CHECK(f.size() == 2);
    CHECK(f["X-Two"] == "text/plain");
    f.add("Empty", "");
    CHECK(f.contains("empty"));
    CHECK(f.erase("accept") == 1);
    CHECK(f.erase("accept") == 0);
    std::string all;
    for (const auto [name, value] : f)
        all += std::string(name) + '=' + std::string(value) + ';';
    CHECK(all == "x-two=text/plain;Empty=;");
    f.clear();
    CHECK(f.empty());
}

TEST_CASE("nothing gets into a field that could end a line")
{
    fields f;
    for (const std::string_view name : {"", "a b", "a:", "a\r", "a\n", "\xc3\xa4", "(a)", "a\t"}) {
        CHECK(thrown_by<error>([&] { f.add(name, "x"); }).code() == errc::bad_field_name);
        CHECK(thrown_by<error>([&] { f.set(name, "x"); }).code() == errc::bad_field_name);
    }
    for (const auto& value : {std::string("a\r\nX: y"), std::string("a\nb"), std::string("a\rb"),
                              std::string("a\0b", 3), std::string("a\x7f"), std::string("\x1b[0m")})
        CHECK(thrown_by<error>([&] { f.add("X", value); }).code() == errc::bad_field_value);
    CHECK(f.empty());
    f.add("X", " \t padded and \xc3\xa4 \t");
    CHECK(f["X"] == "padded and \xc3\xa4");
    const std::string said = thrown_by<error>([&] { f.add("X", "a\r\nSet-Cookie: b"); }).what();
    CHECK(said.find("field X: byte 2 is \"\\x0d\"") != std::string::npos);
    CHECK(said.find("Set-Cookie") == std::string::npos);
}

TEST_CASE("no error repeats a password, a query or the value of a field")
{
    const auto text_of = [](const std::string& url) {
        return std::string(thrown_by<error>([&] { parse_url(url); }).what());
    };
    for (const std::string url :
         {"http://user:secret@h/", "http://user:se/secret@h/", "http://user:se?secret@h/",
          "http://user:se@secret@h/", "https://h y/?signature=secret", "http://h/\t#secret",
          "user:secret@h", "ftp://secret@h@/x?secret", "app://h?mail=a@b.c&code=secret",
          "http://h:99999/?mail=a@b.c&code=secret", "app://h#mail=a@b&code=secret",
          "user:secret://x@h/"}) {
        const auto said = text_of(url);
        CAPTURE(said);
        CHECK(said.find("secret") == std::string::npos);
    }
    CHECK(text_of("http://user:secret@h/path?query").find("url \"http://...@h/path\": ") !=
          std::string::npos);
    fields f;
    const std::string said = thrown_by<error>([&] {
                                 f.add("Authorization", "Bearer secret\n");
                                 f.add("X", "\x01");
                             }).what();
    CHECK(said.find("secret") == std::string::npos);
}

TEST_CASE("a field can be made of another, and fields do not grow by being changed")
{
    fields f{{"X-Original", std::string(100, 'v')}};
    for (int i = 0; i != 20; ++i)
        f.add("X-Copy", f["x-original"]);
    CHECK(f.size() == 21);
    for (const auto [name, value] : f)
        CHECK(value == std::string(100, 'v'));
    CHECK(f.erase("x-copy") == 20);
    CHECK(f.count("x-original") == 1);
    for (int i = 0; i != 20'000; ++i)
        f.set("X-Id", std::to_string(i)); // quadratic, and without end, where nothing is given back
    CHECK(f["x-id"] == "19999");
    CHECK(f["x-original"] == std::string(100, 'v'));
}

TEST_CASE("a field is set or not, but not lost, when the new value is refused")
{
    fields f{{"X", "old"}};
    CHECK(thrown_by<error>([&] { f.set("X", "a\nb"); }).code() == errc::bad_field_value);
    CHECK(f["X"] == "old");
}

struct written {
    explicit written(const request& r, std::string_view target = "/a?b")
    {
        const auto options = std::make_shared<single_use_client_options>();
        detail::client_settings own;
        own.options = options;
        own.own_fields = "User-Agent: loopsafe\r\nAccept: */*\r\n";
        detail::check_request(r);
        detail::write_head(text, r, own, "Host: h\r\n", "/base", target, "", false);
    }
    std::string text;
};

TEST_CASE("a request says where it ends, and nobody else does")
{
    CHECK(written(request("GET", "")).text ==
          "GET /base/a?b HTTP/1.1\r\nHost: h\r\nUser-Agent: loopsafe\r\nAccept: */*\r\n\r\n");
    CHECK(written(request("DELETE", "")).text.find("Content-Length") == std::string::npos);
    for (const std::string method : {"POST", "PUT", "PATCH"})
        CHECK(written(request(method, "")).text.find("\r\nContent-Length: 0\r\n") !=
              std::string::npos);
    CHECK(written(request("QUERY", "", "12345")).text.find("\r\nContent-Length: 5\r\n") !=
          std::string::npos);
    const auto make = [](body_writer&) -> asio::awaitable<void> { co_return; };
    CHECK(written(request("POST", "", request_body::streamed(make)))
              .text.find("\r\nTransfer-Encoding: chunked\r\n") != std::string::npos);
    CHECK(written(request("POST", "", request_body::streamed(make, 7)))
              .text.find("\r\nContent-Length: 7\r\n") != std::string::npos);

    for (const std::string_view name : {"Content-Length", "transfer-encoding", "Connection",
                                        "Keep-Alive", "TE", "Upgrade", "Proxy-Authorization"}) {
        request r("POST", "", "x");
        r.headers.add(name, "1");
        CHECK(thrown_by<error>([&] { written{r}; }).code() == errc::framing_field);
    }
    request hosts("GET", "");
    hosts.headers.add("Host", "a");
    hosts.headers.add("Host", "b");
    CHECK(thrown_by<error>([&] { written{hosts}; }).code() == errc::framing_field);
    for (const std::string method : {"", "GE T", "GET\r\nX: y", "CONNECT", "G\xc3\xa4T"})
        CHECK(thrown_by<error>([&] { written{request(method, "")}; }).code() == errc::bad_method);
}

TEST_CASE("a request's own fields go before the client's")
{
    request r("GET", "");
    r.headers.add("user-agent", "mine");
    r.headers.add("host", "virtual");
    CHECK(written(r, "a").text ==
          "GET /base/a HTTP/1.1\r\nuser-agent: mine\r\nhost: virtual\r\nAccept: */*\r\n\r\n");
}

TEST_CASE("a server that says how long it keeps a connection is believed, less two seconds")
{
    using seconds = std::chrono::seconds;
    const std::vector<std::pair<std::string, std::optional<seconds>>> cases{
        {"timeout=5", seconds(3)},
        {"max=100, TIMEOUT=10", seconds(8)},
        {"timeout=2", seconds(0)},
        {"timeout=0", seconds(0)},
        {"timeout=1", seconds(0)},
        {"timeout=600", seconds(598)},
        {"timeout=601", seconds(598)},
        {"timeout=99999999999", seconds(598)},
        {"timeout=-1", {}},
        {"timeout=", {}},
        {"timeout=5s", {}},
        {"timeouts=5", {}},
        {"max=5", {}},
        {"", {}},
    };
    for (const auto& [text, hint] : cases) {
        CAPTURE(text);
        CHECK(detail::keep_alive_hint(fields{{"Keep-Alive", text}}) == hint);
    }
    CHECK(!detail::keep_alive_hint(fields{}));
}

TEST_CASE("an error says how far the request had come")
{
    const error e(errc::timed_out,
                  {.stage = stage::first_byte,
                   .bytes_sent = 10,
                   .bytes_received = 0,
                   .reused = true,
                   .replayed = true,
                   .timeout = "first_byte",
                   .allowed = std::chrono::seconds(30)},
                  "GET \"http://h/\"");
    CHECK(std::string(e.what()) ==
          "http GET \"http://h/\", stage first byte, 10 bytes sent, 0 received, reused connection, "
          "second attempt, timeouts.first_byte of 30000 ms: a deadline has passed "
          "[loopsafe.http:7]");
    CHECK(to_string(event::kind::first_byte) == "first_byte");
    CHECK(loopsafe::to_string(loopsafe::pool_event::kind::acquire_timed_out) ==
          "acquire_timed_out");
    CHECK(e.code() == condition::timeout);
    CHECK(e.stage() == stage::first_byte);
    CHECK(e.seen().bytes_sent == 10);
    for (int i = 1; i <= static_cast<int>(errc::proxy_sent_more); ++i) {
        const auto ec = make_error_code(static_cast<errc>(i));
        CHECK(ec.message() != "unknown");
        CHECK((ec == condition::bad_request) + (ec == condition::protocol) +
                  (ec == condition::limit) + (ec == condition::connection_lost) +
                  (ec == condition::timeout) + (ec == condition::status) ==
              1);
    }
    for (int i = 1; i <= static_cast<int>(stage::tunnel); ++i)
        CHECK(to_string(static_cast<stage>(i)) != "unknown");
    CHECK(loopsafe::make_error_code(loopsafe::errc::acquire_timeout) == condition::timeout);
    CHECK(loopsafe::error_code(asio::error::connection_reset) == condition::connection_lost);
}

} // namespace

} // namespace text_tests
