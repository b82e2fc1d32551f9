// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
// Which redirects are followed, how, and what stays behind.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/definitions.hpp> // for a policy with a clock of its own
#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/testing/manual_clock.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <http/layered.hpp>
#include <http/support.hpp>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace redirects_tests {

namespace {

using namespace http_test;

std::string redirect(int status, const std::string& to, const std::string& body = {})
{
    return "HTTP/1.1 " + std::to_string(status) + " Elsewhere\r\nLocation: " + to +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string target_of(const std::string& text)
{
    const auto begin = text.find(' ') + 1;
    return text.substr(begin, text.find(' ', begin) - begin);
}

// Answers each target with the text of its name, and any other with the request itself.
class site {
public:
    site() : peer([this](http_peer::caller& c) { serve(c); }) {}

    void serve(http_peer::caller& c)
    {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            peer.note(text);
            const auto found = pages.find(target_of(text));
            c.write(found != pages.end() ? found->second : answer(text));
        }
    }

    std::map<std::string, std::string> pages; // before the first request
    http_peer peer;
};

struct asking : layered_client {
    explicit asking(http::redirect_options with = {}, http::client_options options = {})
        : layered_client(http::redirects(std::move(with)), std::move(options))
    {
    }
};

TEST_CASE("redirects: a reference is resolved as RFC 3986, 5.4 shows")
{
    using http::detail::resolve_reference;
    const std::vector<std::pair<std::string, std::string>> all{
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/./x", "http://a/b/c/g#s/./x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
        {"http:g", "http:g"}};
    CHECK(all.size() == 42);
    for (const auto& [text, wanted] : all) {
        CAPTURE(text);
        CHECK(resolve_reference("http://a/b/c/d;p?q", text) == wanted);
    }
    CHECK(resolve_reference("http://a", "g") == "http://a/g");
    CHECK(resolve_reference("http://a?q", "g") == "http://a/g");
    CHECK(resolve_reference("http://a?q", "") == "http://a?q");
    CHECK(resolve_reference("http://a/x", "y:z/g") == "y:z/g");
    CHECK(resolve_reference("http://a/x", "./y:z/g") == "http://a/y:z/g");
    CHECK(resolve_reference("http://a/x", "1:2") == "http://a/1:2");
}

TEST_CASE("redirects: five statuses and seven methods")
{
    const std::string methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    site s;
    for (const int status : {301, 302, 303, 307, 308})
        s.pages["/" + std::to_string(status)] = redirect(status, "/end");
    for (const auto& method : methods) {
        for (const int status : {301, 302, 303, 307, 308}) {
            CAPTURE(method);
            CAPTURE(status);
            asking a;
            request r(method, s.peer.url('/' + std::to_string(status)));
            const bool sends = method == "POST" || method == "PUT" || method == "PATCH";
            if (sends) {
                r.body = "payload";
                r.headers.set("Content-Type", "text/plain");
                r.headers.set("X-Own", "1");
            }
            const auto got = method == "HEAD" ? a.send(r) : status % 2 ? a.send(r) : a.read(r);
            REQUIRE_FALSE(got.error);
            CHECK(got.evidence.hops == 1);
            const bool to_get =
                (status == 303 && method != "HEAD") || (status <= 302 && method == "POST");
            if (method == "HEAD")
                continue;
            const auto& text = got.answer.body;
            CHECK(text.starts_with((to_get ? "GET" : method) + " /end HTTP/1.1\r\n"));
            CHECK((text.find("payload") != std::string::npos) == (sends && !to_get));
            CHECK((text.find("Content-Type") != std::string::npos) == (sends && !to_get));
            CHECK((text.find("X-Own") != std::string::npos) == sends);
        }
    }
}

TEST_CASE("redirects: other statuses, and those without a Location, are the response")
{
    site s;
    s.pages["/300"] = redirect(300, "/end");
    s.pages["/304"] = "HTTP/1.1 304 Not Modified\r\nLocation: /end\r\n\r\n";
    s.pages["/200"] = answer("ok", "Location: /end\r\n");
    s.pages["/201"] = redirect(201, "/end");
    s.pages["/none"] = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n";
    asking a;
    for (const std::string target : {"/300", "/304", "/200", "/201", "/none"}) {
        CAPTURE(target);
        for (const auto& got :
             {a.send({"GET", s.peer.url(target)}), a.read({"GET", s.peer.url(target)})}) {
            REQUIRE_FALSE(got.error);
            CHECK(got.evidence.hops == 0);
            CHECK(std::to_string(got.answer.status) ==
                  (target == "/none" ? "302" : target.substr(1)));
        }
    }
}

TEST_CASE("redirects: what is secret stays with the first origin, and is not sent again when a "
          "redirect leads back")
{
    site a;
    site b;
    a.pages["/1"] = redirect(302, b.peer.url("/2"));
    b.pages["/2"] = redirect(302, b.peer.url("/3"));
    b.pages["/3"] = redirect(302, a.peer.url("/4"));
    const std::vector<std::string> secrets{"Authorization: secret", "Cookie: secret",
                                           "X-Api-Key: secret",     "X-Auth-Token: secret",
                                           "X-Default: secret",     "WWW-Authenticate: secret",
                                           "X-Amz-Date: secret",    "Referer: secret"};
    for (const bool provided : {false, true}) {
        for (const bool streamed : {false, true}) {
            http::client_options with;
            with.headers.set("X-Default", "secret");
            if (provided)
                with.authorization = [](const http::origin&) -> asio::awaitable<std::string> {
                    co_return "secret";
                };
            asking from({}, with);
            request r("GET", a.peer.url("/1"));
            for (const auto& each : secrets) {
                const auto colon = each.find(':');
                const auto name = each.substr(0, colon);
                if (name != "X-Default" && !(provided && name == "Authorization"))
                    r.headers.add(name, "secret");
            }
            r.headers.set("Accept-Language", "de");
            r.headers.set("If-None-Match", "tag");
            r.headers.set("User-Agent", "own");
            const auto got = streamed ? from.read(r) : from.send(r);
            REQUIRE_FALSE(got.error);
            CHECK(got.evidence.hops == 3);
            CHECK(got.answer.body.find("secret") == std::string::npos);
            for (const std::string kept :
                 {"Accept-Language: de", "If-None-Match: tag", "User-Agent: own", "Accept: */*"})
                CHECK(got.answer.body.find(kept + "\r\n") != std::string::npos);
        }
    }
    const auto first = a.peer.notes();
    CHECK(std::count_if(first.begin(), first.end(), [&](const std::string& each) {
              return std::all_of(secrets.begin(), secrets.end(), [&](const std::string& s) {
                  return each.find(s + "\r\n") != std::string::npos;
              });
          }) == 4);
    for (const auto& each : b.peer.notes())
        CHECK(each.find("secret") == std::string::npos);
}

TEST_CASE("redirects: within one origin everything goes along, but for the caller's Host")
{
    site s;
    s.pages["/1"] = redirect(307, "2?a=b");
    asking a;
    request r("PUT", s.peer.url("/1"), "payload");
    r.headers.set("Authorization", "secret");
    r.headers.set("Host", "named");
    const auto got = a.send(r);
    REQUIRE_FALSE(got.error);
    CHECK(got.answer.body.starts_with("PUT /2?a=b HTTP/1.1\r\n"));
    CHECK(got.answer.body.find("Authorization: secret\r\n") != std::string::npos);
    CHECK(got.answer.body.find("Host: named") == std::string::npos);
    CHECK(got.answer.body.ends_with("\r\n\r\npayload"));
    CHECK(s.peer.connections() == 1);
}

TEST_CASE("redirects: fields that the options name go to every origin")
{
    site a;
    site b;
    a.pages["/1"] = redirect(302, b.peer.url("/2"));
    http::redirect_options with;
    with.fields_for_every_origin = {"x-trace"};
    asking from(with);
    request r("GET", a.peer.url("/1"));
    r.headers.set("X-Trace", "7");
    CHECK(from.send(r).answer.body.find("X-Trace: 7\r\n") != std::string::npos);
}

TEST_CASE("redirects: a body goes to another origin only if the options allow it")
{
    site a;
    site b;
    a.pages["/1"] = redirect(307, b.peer.url("/2"));
    const request r("PUT", a.peer.url("/1"), "payload");
    const auto refused = asking().send(r);
    CHECK(refused.ec == errc::redirect_refused);
    CHECK(b.peer.connections() == 0);
    http::redirect_options with;
    with.body_to_other_origin = true;
    CHECK(asking(with).send(r).answer.body.ends_with("payload"));
    CHECK(asking().send({"DELETE", a.peer.url("/1")}).answer.body.starts_with("DELETE /2 "));
}

TEST_CASE("redirects: from https to http is refused, unless the options allow it")
{
    http_peer plain(http_peer::always(answer("plain")));
    http_peer secure(http_peer::always(redirect(302, plain.url("/x?secret=1"))), true);
    http::client_options options;
    options.tls.trusted_file = secure.root_file();
    asking strict({}, options);
    const auto refused = strict.send({"GET", secure.url()});
    CHECK(refused.ec == errc::redirect_refused);
    CHECK(plain.connections() == 0);
    const auto text = text_of(refused.error);
    CHECK(text.find("leads from https to") != std::string::npos);
    CHECK(text.find("secret") == std::string::npos);
    http::redirect_options with;
    with.to_plain = true;
    CHECK(asking(with, options).send({"GET", secure.url()}).answer.body == "plain");
}

TEST_CASE("redirects: a Location that leads nowhere is an error, and nothing is sent")
{
    site s;
    const std::vector<std::string> all{
        "ftp://host/", "javascript:alert(1)", "http://", "http://user:pw@host/", "http://ho st/",
        "http:x",      "http://h:99999/",     "//",      "\\\\host\\x:"};
    for (std::size_t i = 0; i != all.size(); ++i)
        s.pages["/" + std::to_string(i)] = redirect(302, all[i]);
    s.pages["/two"] =
        "HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
    asking a;
    for (std::size_t i = 0; i + 1 != all.size(); ++i) {
        CAPTURE(all[i]);
        for (const auto& got : {a.send({"GET", s.peer.url("/" + std::to_string(i))}),
                                a.read({"GET", s.peer.url("/" + std::to_string(i))})}) {
            CHECK(got.ec == errc::bad_location);
            CHECK(text_of(got.error).find("pw@") == std::string::npos);
        }
    }
    CHECK(a.send({"GET", s.peer.url("/two")}).ec == errc::bad_location);
}

TEST_CASE("redirects: spaces and bytes outside of ASCII are encoded")
{
    site s;
    s.pages["/1"] = redirect(302, "/a b\xc3\xa4?c d");
    asking a;
    CHECK(a.send({"GET", s.peer.url("/1")}).answer.body.starts_with("GET /a%20b%C3%A4?c%20d HTTP"));
}

TEST_CASE("redirects: loops end at the limit, which counts hops, not addresses")
{
    site s;
    s.pages["/loop"] = redirect(302, "/loop");
    s.pages["/form"] = redirect(303, "/form2");
    s.pages["/form2"] = redirect(302, "/end");
    http::redirect_options with;
    with.most = 3;
    asking a(with);
    const auto got = a.send({"GET", s.peer.url("/loop")});
    CHECK(got.ec == errc::too_many_redirects);
    CHECK(got.ec == condition::limit);
    CHECK(got.evidence.hops == 3);
    CHECK(s.peer.notes().size() == 4);
    CHECK(text_of(got.error).find("tried: 1 time, after 3 redirects") != std::string::npos);
    CHECK(a.read({"GET", s.peer.url("/loop")}).ec == errc::too_many_redirects);
    CHECK(a.send({"POST", s.peer.url("/form"), "x"}).evidence.hops == 2);
    CHECK_THROWS_WITH_AS(http::redirects(0), doctest::Contains("most must be at least 1"),
                         boost::system::system_error);
}

TEST_CASE("redirects: a body that cannot be sent twice makes the redirect the response")
{
    site s;
    s.pages["/307"] = redirect(307, "/end");
    s.pages["/303"] = redirect(303, "/end");
    asking a;
    for (const bool again : {false, true}) {
        const auto make = [](http::body_writer& w) -> asio::awaitable<void> {
            co_await w.write("payload");
        };
        request r("PUT", s.peer.url("/307"), http::request_body::streamed(make, 7, again));
        const auto got = a.send(r);
        REQUIRE_FALSE(got.error);
        CHECK(got.answer.status == (again ? 200 : 307));
        CHECK(got.answer.body.ends_with(again ? "payload" : ""));
        r.url = s.peer.url("/303");
        CHECK(a.send(r).answer.body.starts_with("GET /end"));
    }
}

TEST_CASE(
    "redirects: the body of a redirect is dropped, and costs the connection only if it is long")
{
    for (const std::size_t size : {0u, 5u, 16'384u, 16'385u}) {
        CAPTURE(size);
        site s;
        s.pages["/1"] = redirect(302, "/end", std::string(size, 'x'));
        asking a;
        CHECK(a.read({"GET", s.peer.url("/1")}).answer.body.starts_with("GET /end"));
        CHECK(a.send({"GET", s.peer.url("/1")}).answer.body.starts_with("GET /end"));
        CHECK(s.peer.connections() <= 2);
        if (size <= 16'384)
            CHECK(s.peer.connections() == 1);
    }
}

TEST_CASE("redirects: a body that is cut short does not matter")
{
    site s;
    http_peer cut([&](http_peer::caller& c) {
        c.read_request();
        c.write("HTTP/1.1 302 Found\r\nLocation: " + s.peer.url("/end") +
                "\r\nContent-Length: 100\r\n\r\nhalf");
        c.close();
    });
    asking a;
    CHECK(a.read({"GET", cut.url()}).answer.body.starts_with("GET /end"));
}

TEST_CASE("redirects: the deadline of a request spans all hops")
{
    using loopsafe::testing::manual_clock;
    manual_clock::reset();
    http_peer silent([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            const bool first = target_of(text) == "/";
            c.peer().note(first ? "first" : "second");
            if (!first)
                continue; // until the client goes
            c.peer().await_note("later");
            c.write(redirect(302, "/2"));
        }
    });
    mortal_context context;
    using timed_client =
        http::basic_client<loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, manual_clock>>;
    http::client_options with;
    with.timeouts.total = std::chrono::seconds(10);
    const auto api = timed_client(*context, with) | http::redirects();
    std::optional<seen> got;
    asio::co_spawn(*context, watch(api.get(silent.url())),
                   [&](const std::exception_ptr&, seen s) { got = std::move(s); });
    std::thread later([&] {
        silent.await_note("first");
        asio::post(*context, [&] {
            manual_clock::advance(*context, std::chrono::seconds(6));
            silent.note("later");
        });
        silent.await_note("second");
        asio::post(*context, [&] { manual_clock::advance(*context, std::chrono::seconds(4)); });
    });
    run_until(*context, [&] { return got.has_value(); });
    later.join();
    CHECK(got->ec == errc::timed_out);
    CHECK(got->evidence.timeout == "total");
    CHECK(got->evidence.hops == 1);
    CHECK(got->evidence.allowed == std::chrono::seconds(10));
}

} // namespace

} // namespace redirects_tests
