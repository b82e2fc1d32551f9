// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// Which proxy leads to which origin, and what is made of its URL. No connection is made.

#include <loopsafe/http/detail/wire/connect.hpp>
#include <loopsafe/http/proxies.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <support/texts.hpp>
#include <vector>

namespace proxies_tests {

namespace {

using namespace support;
using namespace loopsafe::http;
using loopsafe::error_code;

struct excepting {
    std::string_view list;
    std::string_view url;
    bool direct;
};

const std::vector<excepting> cases{
    // nothing
    {"", "http://example.org/", false},
    {" ", "http://example.org/", false},
    {",", "http://example.org/", false},
    {" , ,, ", "http://example.org/", false},
    // all
    {"*", "http://example.org/", true},
    {"*", "https://[::1]/", true},
    {" * ", "http://10.0.0.1/", true},
    {"other.org,*", "http://example.org/", true},
    {"**", "http://example.org/", false},
    {"*org", "http://example.org/", false},
    // names
    {"example.org", "http://example.org/", true},
    {"example.org", "https://example.org/", true},
    {"example.org", "http://example.com/", false},
    {"example.org", "http://example/", false},
    {"example", "http://example.org/", false},
    {"localhost", "http://localhost:8080/", true},
    {"localhost", "http://127.0.0.1/", false},
    {"127.0.0.1", "http://localhost/", false},
    // what is below them, label by label
    {"example.org", "http://www.example.org/", true},
    {"example.org", "http://a.b.c.example.org/", true},
    {"example.org", "http://wwwexample.org/", false},
    {"example.org", "http://not-example.org/", false},
    {"example.org", "http://example.org.other/", false},
    {"www.example.org", "http://example.org/", false},
    {"org", "http://example.org/", true},
    {"rg", "http://example.org/", false},
    // dots
    {".example.org", "http://example.org/", true},
    {".example.org", "http://www.example.org/", true},
    {".example.org", "http://wwwexample.org/", false},
    {"..example.org", "http://www.example.org/", false},
    {"*.example.org", "http://www.example.org/", true},
    {"*.example.org", "http://example.org/", true},
    {"*.example.org", "http://wwwexample.org/", false},
    {"*example.org", "http://www.example.org/", false},
    {"www.*.org", "http://www.example.org/", false},
    {"example.org.", "http://example.org/", true},
    {"example.org", "http://example.org./", true},
    {"example.org.", "http://www.example.org./", true},
    {"example.org..", "http://example.org/", false},
    {".", "http://example.org/", false},
    {"*.", "http://example.org/", false},
    // case
    {"EXAMPLE.org", "http://example.ORG/", true},
    {".Example.Org", "http://WWW.example.org/", true},
    // lists
    {"one.org,example.org", "http://example.org/", true},
    {"one.org, example.org", "http://example.org/", true},
    {"one.org example.org", "http://example.org/", true},
    {"one.org\texample.org\n", "http://example.org/", true},
    {"one.org ,, example.org , two.org", "http://example.org/", true},
    {"one.org,two.org", "http://example.org/", false},
    {"exam ple.org", "http://example.org/", false},
    {"one.org;example.org", "http://example.org/", false},
    // ports
    {"example.org:8080", "http://example.org:8080/", true},
    {"example.org:8080", "http://www.example.org:8080/", true},
    {"example.org:8080", "http://example.org/", false},
    {"example.org:80", "http://example.org/", true},
    {"example.org:443", "https://example.org/", true},
    {"example.org:443", "http://example.org/", false},
    {"example.org:", "http://example.org/", false},
    {"example.org:80x", "http://example.org/", false},
    {"example.org:65616", "http://example.org:80/", false},
    {":80", "http://example.org/", false},
    {"10.0.0.1:80", "http://10.0.0.1/", true},
    {"10.0.0.1:81", "http://10.0.0.1/", false},
    // addresses
    {"10.0.0.1", "http://10.0.0.1/", true},
    {"10.0.0.1", "http://10.0.0.11/", false},
    {"0.0.1", "http://10.0.0.1/", false},
    {".0.0.1", "http://10.0.0.1/", false},
    {"10.0.0.1", "http://www.10.0.0.1.org/", false},
    {"::1", "http://[::1]/", true},
    {"[::1]", "http://[::1]/", true},
    {"0:0:0:0:0:0:0:1", "http://[::1]/", true},
    {"FD00::A", "http://[fd00::a]/", true},
    {"::1", "http://[::11]/", false},
    {"[::1]:8080", "http://[::1]:8080/", true},
    {"[::1]:8080", "http://[::1]/", false},
    {"[::1]8080", "http://[::1]:8080/", false},
    {"[::1", "http://[::1]/", false},
    {"[::1]:", "http://[::1]/", false},
    // networks
    {"10.0.0.0/8", "http://10.255.1.2/", true},
    {"10.0.0.0/8", "http://11.0.0.1/", false},
    {"10.1.2.3/8", "http://10.0.0.1/", true},
    {"192.168.4.0/22", "http://192.168.7.255/", true},
    {"192.168.4.0/22", "http://192.168.8.0/", false},
    {"10.0.0.1/32", "http://10.0.0.1/", true},
    {"10.0.0.1/32", "http://10.0.0.2/", false},
    {"0.0.0.0/0", "http://203.0.113.9/", true},
    {"0.0.0.0/0", "http://[2001:db8::1]/", false},
    {"0.0.0.0/0", "http://example.org/", false},
    {"10.0.0.0/33", "http://10.0.0.0/", false},
    {"10.0.0.0/", "http://10.0.0.0/", false},
    {"10.0.0.0/-1", "http://10.0.0.0/", false},
    {"10.0.0.0/8x", "http://10.0.0.0/", false},
    {"10.0/8", "http://10.0.0.1/", false},
    {"fd00::/8", "http://[fd12:3456::1]/", true},
    {"fd00::/8", "http://[fe00::1]/", false},
    {"[fd00::]/8", "http://[fd12:3456::1]/", false},
    {"2001:db8::/127", "http://[2001:db8::1]/", true},
    {"2001:db8::/127", "http://[2001:db8::2]/", false},
    {"::/0", "http://[2001:db8::1]/", true},
    {"::/0", "http://10.0.0.1/", false},
    {"::/129", "http://[::1]/", false},
    {"10.0.0.0/8:8080", "http://10.0.0.1:8080/", true},
    {"10.0.0.0/8:8080", "http://10.0.0.1/", false},
};

TEST_CASE(
    "http: a list of exceptions from proxies is read as curl reads NO_PROXY, and ports as well")
{
    CHECK(cases.size() >= 78);
    for (const auto& [list, url, direct] : cases) {
        CAPTURE(list);
        CAPTURE(url);
        auto all = proxies::all("http://proxy:3128");
        all.except(list);
        CHECK((all.find(parse_url(url).origin) == nullptr) == direct);
    }
}

std::string authorization_of(std::string_view url)
{
    return proxies::all(url).find(parse_url("http://h").origin)->authorization;
}

TEST_CASE("http: the URL of a proxy has a host, a port, a user and a password")
{
    const std::vector<std::pair<std::string, std::string>> shown{
        {"http://proxy:3128", "proxy:3128"},
        {"http://proxy:3128/", "proxy:3128"},
        {"HTTP://Proxy.Internal:3128", "proxy.internal:3128"},
        {"proxy:3128", "proxy:3128"},
        {" proxy ", "proxy:80"},
        {"http://10.0.0.1", "10.0.0.1:80"},
        {"http://[::1]:8080", "[::1]:8080"},
        {"[0:0::1]:8080", "[::1]:8080"},
        {"http://ann:secret@proxy:3128", "proxy:3128"},
        {"ann:secret@proxy:3128", "proxy:3128"},
    };
    for (const auto& [url, text] : shown) {
        CAPTURE(url);
        CHECK(proxies::all(url).find(parse_url("https://h").origin)->to_string() == text);
    }
    CHECK(authorization_of("http://proxy").empty());
    CHECK(authorization_of("http://@proxy").empty());
    CHECK(authorization_of("http://ann:secret@proxy") == "Basic YW5uOnNlY3JldA==");
    CHECK(authorization_of("ann:secret@proxy") == "Basic YW5uOnNlY3JldA==");
    CHECK(authorization_of("http://ann@proxy") == "Basic YW5uOg==");
    CHECK(authorization_of("http://:x@proxy") == "Basic Ong=");
    CHECK(authorization_of("http://ann:a%40b%3a%25/c@proxy") == "Basic YW5uOmFAYjolL2M=");
    CHECK(authorization_of("http://ann:a@b:c/?#d@proxy") == "Basic YW5uOmFAYjpjLz8jZA==");
    CHECK(authorization_of("http://ann:http://@proxy") == "Basic YW5uOmh0dHA6Ly8=");
    CHECK(authorization_of("http://\xc3\xa4:\xc3\xb6@proxy") == "Basic w6Q6w7Y=");
}

std::string why_not(std::string_view url)
{
    const auto refused = thrown_by<error>([&] { proxies::all(url); });
    CHECK(refused.code() == errc::bad_url);
    CHECK(refused.stage() == stage::prepare);
    return refused.what();
}

TEST_CASE("http: a proxy that is none is refused, and nothing of its URL is shown")
{
    const std::vector<std::pair<std::string, std::string>> wrong{
        {"", "there is no host"},
        {"http://", "there is no host"},
        {"http://:3128", "there is no host"},
        {"http://proxy:0", "a port must be"},
        {"http://proxy:99999", "a port must be"},
        {"http://ann:secret", "a host must consist of"},
        {"http://pro xy", "a host must consist of"},
        {"http://proxy:3128/path", "a proxy has no path"},
        {"http://proxy:3128?a", "a proxy has no path"},
        {"http://[::1%25eth0]:1", "brackets must hold an IPv6 address"},
        {"http://[secret:]:1", "brackets must hold an IPv6 address"},
        {"ftp://proxy", "it must begin with http://"},
        {"https://ann:secret@proxy", "TLS are not supported"},
        {"HTTPS://proxy", "TLS are not supported"},
        {"socks5://ann:secret@proxy", "SOCKS is not supported"},
        {"socks4a://proxy", "SOCKS is not supported"},
        {"SOCKS5h://proxy", "SOCKS is not supported"},
        {"http://ann:secret%@proxy", "must be written as %25"},
        {"http://ann:secret%4@proxy", "must be written as %25"},
        {"http://ann:secret%4g@proxy", "must be written as %25"},
        {"http://ann%3asecret:x@proxy", "must not have a colon"},
        {"http://ann:secret%0d%0aX: y@proxy", "control character"},
        {"http://ann:secret\r\nX: y@proxy", "control character"},
        {std::string("http://ann:secret\0@proxy", 24), "control character"},
        {"http://ann:secret%7f@proxy", "control character"},
    };
    for (const auto& [url, why] : wrong) {
        CAPTURE(url);
        const auto text = why_not(url);
        CHECK(text.find(why) != std::string::npos);
        CHECK(text.find("secret") == std::string::npos);
        CHECK(text.find("ann") == std::string::npos);
    }
    proxies one;
    CHECK(std::string(thrown_by<error>([&] { one.for_https("socks5://h"); }).what())
              .find("the proxy for https: SOCKS") != std::string::npos);
    CHECK(one.empty());
}

TEST_CASE("http: each scheme may have a proxy of its own")
{
    const auto plain = parse_url("http://h").origin;
    const auto secure = parse_url("https://h").origin;
    proxies some;
    CHECK(some.empty());
    CHECK(some.find(plain) == nullptr);
    some.for_http("a:1");
    CHECK(!some.empty());
    CHECK(some.find(plain)->to_string() == "a:1");
    CHECK(some.find(secure) == nullptr);
    some.for_https("b:2").except("x");
    CHECK(some.find(plain)->to_string() == "a:1");
    CHECK(some.find(secure)->to_string() == "b:2");
    some.for_http("c:3").except("h");
    CHECK(some.find(plain) == nullptr);
    CHECK(some.find(secure) == nullptr);
    CHECK(!some.empty());
}

using variables = std::map<std::string, std::string>;

std::string read_from(const variables& set)
{
    const auto found = proxies::from_environment([&](const char* name) {
        const auto at = set.find(name);
        return at != set.end() ? std::optional(at->second) : std::nullopt;
    });
    std::string text;
    for (const char* const url : {"http://h", "https://h", "http://direct"}) {
        const auto* const one = found.find(parse_url(url).origin);
        text += (one != nullptr ? one->to_string() : "-") + ' ';
    }
    return text;
}

TEST_CASE("http: the environment names proxies, but HTTP_PROXY does not: it may be a CGI caller's")
{
    CHECK(read_from({}) == "- - - ");
    CHECK(read_from({{"http_proxy", "a:1"}}) == "a:1 - a:1 ");
    CHECK(read_from({{"HTTP_PROXY", "a:1"}}) == "- - - ");
    CHECK(read_from({{"HTTP_PROXY", "a:1"}, {"REQUEST_METHOD", "GET"}}) == "- - - ");
    CHECK(read_from({{"https_proxy", "a:1"}}) == "- a:1 - ");
    CHECK(read_from({{"HTTPS_PROXY", "a:1"}}) == "- a:1 - ");
    CHECK(read_from({{"https_proxy", "a:1"}, {"HTTPS_PROXY", "b:2"}}) == "- a:1 - ");
    CHECK(read_from({{"https_proxy", ""}, {"HTTPS_PROXY", "b:2"}}) == "- b:2 - ");
    CHECK(read_from({{"all_proxy", "a:1"}}) == "a:1 a:1 a:1 ");
    CHECK(read_from({{"ALL_PROXY", "a:1"}}) == "a:1 a:1 a:1 ");
    CHECK(read_from({{"all_proxy", "a:1"}, {"ALL_PROXY", "b:2"}}) == "a:1 a:1 a:1 ");
    CHECK(read_from({{"all_proxy", "a:1"}, {"http_proxy", "b:2"}}) == "b:2 a:1 b:2 ");
    CHECK(read_from({{"all_proxy", "a:1"}, {"http_proxy", " "}}) == "a:1 a:1 a:1 ");
    CHECK(read_from({{"all_proxy", "a:1"}, {"no_proxy", "direct"}}) == "a:1 a:1 - ");
    CHECK(read_from({{"all_proxy", "a:1"}, {"NO_PROXY", "direct"}}) == "a:1 a:1 - ");
    CHECK(read_from({{"all_proxy", "a:1"}, {"no_proxy", "x"}, {"NO_PROXY", "direct"}}) ==
          "a:1 a:1 a:1 ");
    CHECK(read_from({{"all_proxy", "a:1"}, {"no_proxy", "*"}}) == "- - - ");
    // What no origin needs may be anything.
    CHECK(read_from({{"all_proxy", "socks5://x"}, {"http_proxy", "a:1"}, {"HTTPS_PROXY", "b:2"}}) ==
          "a:1 b:2 a:1 ");
    const auto refused =
        thrown_by<error>([] { read_from({{"HTTPS_PROXY", "socks5://ann:secret@x"}}); });
    CHECK(refused.code() == errc::bad_url);
    const std::string text = refused.what();
    CHECK(text.find("the variable HTTPS_PROXY: SOCKS") != std::string::npos);
    CHECK(text.find("secret") == std::string::npos);
}

TEST_CASE("http: the environment is that of the process, where no other is given")
{
    ::setenv("https_proxy", "http://proxy:3128", 1);
    ::setenv("no_proxy", "direct", 1);
    const auto found = proxies::from_environment();
    ::unsetenv("https_proxy");
    ::unsetenv("no_proxy");
    REQUIRE(found.find(parse_url("https://h").origin) != nullptr);
    CHECK(found.find(parse_url("https://h").origin)->to_string() == "proxy:3128");
    CHECK(found.find(parse_url("https://direct").origin) == nullptr);
}

struct answered {
    error_code ec;
    bool done = false;
    bool opens = false;
    int status = 0;
};

// In pieces of that size.
answered read_answer(std::string_view text, std::size_t piece)
{
    const limits most;
    detail::connect_answer reads(most);
    answered got;
    std::string kept;
    while (!text.empty() && !got.ec && !reads.done()) {
        const auto n = std::min(piece, text.size());
        kept += text.substr(0, n);
        text.remove_prefix(n);
        kept.erase(0, reads.put(kept, got.ec));
    }
    got.done = reads.done();
    got.opens = reads.done() && reads.opens_tunnel();
    got.status = reads.status();
    return got;
}

TEST_CASE("http: what a proxy answers to CONNECT is the same however its bytes are cut")
{
    struct one {
        std::string text;
        error_code ec;
        int status = 0; // of an answer that is whole
    };
    const std::string ok = "HTTP/1.1 200 Connection established\r\n";
    const std::vector<one> all{
        {ok + "\r\n", {}, 200},
        {"HTTP/1.0 200\r\n\r\n", {}, 200},
        {"HTTP/1.1 299 \r\nVia: x\r\nA: b\r\n c\r\n\r\n", {}, 299},
        {ok + "Content-Length: 5\r\n\r\n", {}, 200},
        {ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", {}, 200},
        {ok + "Content-Length: what\r\n\r\n", {}, 200},
        {ok + "Transfer-Encoding: chunked\r\n\r\n", {}, 200},
        {ok + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", {}, 200},
        {ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", {}, 200},
        {ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", {}, 200},
        {"HTTP/1.1 100 Continue\r\n\r\n" + ok + "\r\n", {}, 200},
        {"HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\n", {}, 407},
        {"HTTP/1.1 301 No\r\nLocation: x\r\n\r\n", {}, 301},
        {"HTTP/1.1 600 No\r\n\r\n", {}, 600},
        {"HTTP/1.1 000 No\r\n\r\n", {}, 0},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", errc::unasked_upgrade},
        {"HTTP/1.1 20 OK\r\n\r\n", errc::bad_status},
        {"HTTP/2 200 OK\r\n\r\n", errc::bad_version},
        {"SSH-2.0-x\r\n", errc::bad_version},
        {"\x15\x03\x01", errc::tls_answer},
        {"HTTP/1.1 200 OK\nA: b\n\n", errc::bad_head},
        {ok + "no field\r\n\r\n", errc::bad_head},
        {ok + "A: b\x01\r\n\r\n", errc::bad_head},
    };
    for (const auto& [text, ec, status] : all) {
        CAPTURE(text);
        for (std::size_t piece = 1; piece <= text.size(); ++piece) {
            CAPTURE(piece);
            const auto got = read_answer(text, piece);
            CHECK(got.ec == ec);
            CHECK(got.done == !ec);
            if (!ec)
                CHECK(got.status == status);
            CHECK(got.opens == (!ec && status / 100 == 2));
        }
    }
}

TEST_CASE("http: nothing may follow a proxy's answer to CONNECT, and it is bounded")
{
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    for (const auto* more : {"x", "\r\n", "HTTP/1.1 200 OK\r\n\r\n", "\x16\x03\x01"})
        CHECK(read_answer(ok + "\r\n" + more, 1000).ec == errc::proxy_sent_more);
    CHECK(read_answer("HTTP/1.1 403 No\r\n\r\nwhy", 1000).status == 403); // its body is not read
    CHECK(!read_answer("HTTP/1.1 403 No\r\n\r\nwhy", 1000).ec);
    CHECK(read_answer(ok + "A: " + std::string(70'000, 'a'), 1000).ec == errc::head_too_large);
    CHECK(read_answer(std::string("HTTP/1.1 200 ") + std::string(70'000, 'a'), 1000).ec ==
          errc::head_too_large);
    std::string fields;
    for (int i = 0; i != 129; ++i)
        fields += "A: b\r\n";
    CHECK(read_answer(ok + fields + "\r\n", 1000).ec == errc::too_many_fields);
    std::string interim;
    for (int i = 0; i != 6; ++i)
        interim += "HTTP/1.1 102 Processing\r\n\r\n";
    CHECK(read_answer(interim + ok + "\r\n", 1000).ec == errc::too_many_interim);
}

TEST_CASE("http: a proxy is asked for a tunnel by host and port, and told user and password")
{
    const proxy open{"proxy", 3128, {}};
    CHECK(detail::connect_request(parse_url("https://example.org/a").origin, open) ==
          "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    CHECK(
        detail::connect_request(parse_url("https://[::1]:8443").origin,
                                {"proxy", 3128, "Basic x"}) ==
        "CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\nProxy-Authorization: Basic x\r\n\r\n");
}

} // namespace

} // namespace proxies_tests
