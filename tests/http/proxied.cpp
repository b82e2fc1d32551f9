// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
// Requests through proxies: what the proxy is told, what the server is told, and what happens when
// the proxy does not do its part.

#include <atomic>
#include <http/proxy_peer.hpp>
#include <http/stepped.hpp>
#include <iterator>
#include <set>

namespace proxied_tests {

namespace {

using namespace http_test;

constexpr const char* as_sent = "Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n";

http::proxies through(const http_peer& proxy)
{
    return http::proxies::all("http://ann:secret@127.0.0.1:" +
                              std::to_string(proxy.endpoint().port()));
}

std::string name_of(const http_peer& peer)
{
    return "127.0.0.1:" + std::to_string(peer.endpoint().port());
}

// What follows Host, in a GET that has no fields of its own.
std::string rest_of_head(combination what)
{
    return std::string(has_layers(what) ? "Accept-Encoding: gzip\r\n" : "") +
           "User-Agent: loopsafe\r\nAccept: */*\r\n" +
           (keeps(what) ? "" : "Connection: close\r\n") + "\r\n";
}

void note_and_answer(http_peer::caller& c)
{
    for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
        c.peer().note(text);
        c.write(answer("hello"));
    }
}

// A server, a proxy, and a client that has been told of it.
class proxied {
public:
    using change = std::function<void(http::single_use_client_options&)>;

    proxied(combination what, bool secure, const http_peer::script& of_proxy,
            const change& more = {})
        : server(note_and_answer, secure), proxy(of_proxy ? of_proxy : leads_to(server.endpoint()))
    {
        if (secure)
            with.tls.trusted_file = server.root_file();
        with.base_url = server.url("");
        with.proxies = through(proxy);
        if (more)
            more(with);
        client = make_client(what, *context, with);
    }

    seen send(request what) { return run_on(*context, watch(client->send(std::move(what)))); }
    seen get(std::string url) { return send({"GET", std::move(url)}); }

    http_peer server;
    http_peer proxy;
    http::single_use_client_options with;
    mortal_context context;
    std::unique_ptr<any_client> client;
};

bool has_secret(const std::string& text)
{
    return text.find("secret") != std::string::npos || text.find("YW5u") != std::string::npos ||
           text.find("roxy-A") != std::string::npos;
}

TEST_CASE("http: a tunnel leads to an https server, which learns nothing of the proxy")
{
    for (const auto what : all_combinations) {
        INFO(name_of(what));
        proxied p(what, true, {});
        CHECK(p.get("/a?b").answer.body == "hello");
        const auto make = [](http::body_writer& out) -> asio::awaitable<void> {
            for (int i = 0; i != 2; ++i)
                co_await out.write("part");
        };
        CHECK(
            p.send({"POST", p.server.url("/b"), http::request_body::streamed(make)}).answer.body ==
            "hello");
        const auto to = name_of(p.server);
        const std::string asked =
            "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n" + as_sent + "\r\n";
        CHECK(p.proxy.notes() == std::vector<std::string>(keeps(what) ? 1 : 2, asked));
        const auto got = p.server.notes();
        REQUIRE(got.size() == 2);
        CHECK(got[0] == "GET /a?b HTTP/1.1\r\nHost: " + to + "\r\n" + rest_of_head(what));
        CHECK(got[1].starts_with("POST /b HTTP/1.1\r\n"));
        CHECK(got[1].ends_with("\r\n\r\n4\r\npart\r\n4\r\npart\r\n0\r\n\r\n"));
        CHECK(!has_secret(got[0] + got[1]));
    }
}

TEST_CASE("http: the proxy of an http server is asked for the whole URL")
{
    for (const auto what : all_combinations) {
        INFO(name_of(what));
        proxied p(what, false, note_and_answer,
                  [](auto& with) { with.base_url = "http://Example.test:81/base/"; });
        const auto rest = rest_of_head(what);
        const std::vector<std::pair<std::string, std::string>> targets{
            {"a", "http://example.test:81/base/a"},
            {"/a?b", "http://example.test:81/base/a?b"},
            {"../a b", "http://example.test:81/a%20b"},
            {"http://example.test:81", "http://example.test:81/"},
            {"http://example.test:81?b", "http://example.test:81/?b"},
            {"http://EXAMPLE.test:81/a/./b#c", "http://example.test:81/a/b"},
            {"http://example.test:81/a", "http://example.test:81/a"},
            {"http://example.test:81/a", "http://example.test:81/a"},
        };
        for (const auto& [url, target] : targets) {
            CAPTURE(url);
            CHECK(p.get(url).answer.body == "hello");
            CHECK(p.proxy.notes().back() ==
                  "GET " + target + " HTTP/1.1\r\nHost: example.test:81\r\n" + as_sent + rest);
        }
        CHECK(p.get("http://[2001:db8::1]/a").answer.body == "hello");
        CHECK(p.proxy.notes().back() ==
              "GET http://[2001:db8::1]/a HTTP/1.1\r\nHost: [2001:db8::1]\r\n" +
                  std::string(as_sent) + rest);
        request own("POST", "http://example.test:81/a", "body");
        own.headers.add("X", "y");
        CHECK(p.send(std::move(own)).answer.body == "hello");
        CHECK(p.proxy.notes().back().find("Host: example.test:81\r\n" + std::string(as_sent) +
                                          "X: y\r\n") != std::string::npos);
        CHECK(p.server.connections() == 0);
        CHECK(p.proxy.connections() == (keeps(what) ? 2 : 10)); // one for each origin

        const auto before = p.proxy.notes().size();
        request virtual_host("GET", "http://example.test:81/a");
        virtual_host.headers.add("Host", "other");
        const auto refused = p.send(std::move(virtual_host));
        CHECK(refused.ec == errc::framing_field);
        CHECK(refused.evidence.stage == stage::prepare);
        CHECK(p.proxy.notes().size() == before);
    }
}

TEST_CASE("http: a server that is reached directly gets what it gets without proxies")
{
    for (const auto what : all_combinations) {
        for (const bool secure : {false, true}) {
            INFO(name_of(what), secure ? ", TLS" : ", plain");
            proxied p(what, secure, {}, [](auto& with) { with.proxies.except("127.0.0.0/8"); });
            CHECK(p.get("/a").answer.body == "hello");
            CHECK(p.server.notes() ==
                  std::vector<std::string>{"GET /a HTTP/1.1\r\nHost: " + name_of(p.server) +
                                           "\r\n" + rest_of_head(what)});
            CHECK(p.proxy.connections() == 0);
        }
    }
}

TEST_CASE("http: Proxy-Authorization is nobody's field but the proxy's")
{
    for (const auto what : all_combinations) {
        INFO(name_of(what));
        for (const bool secure : {false, true}) {
            proxied p(what, secure, secure ? http_peer::script() : note_and_answer);
            request own("GET", "/");
            own.headers.add("proxy-authorization", "Basic YW5uOnNlY3JldA==");
            const auto refused = p.send(std::move(own));
            CHECK(refused.ec == errc::framing_field);
            CHECK(!has_secret(text_of(refused.error)));
            const auto late = [](http::body_writer& out) -> asio::awaitable<void> {
                co_await out.write("part");
                out.trailers.add("Proxy-Authorization", "Basic YW5uOnNlY3JldA==");
            };
            CHECK(p.send({"POST", "/", http::request_body::streamed(late)}).ec ==
                  errc::framing_field);
            for (const auto& each : p.server.notes())
                CHECK(!has_secret(each));
            auto with = p.with;
            with.headers.add("Proxy-Authorization", "Basic YW5uOnNlY3JldA==");
            CHECK(thrown_by<http::error>([&] { make_client(what, *p.context, with); }).code() ==
                  errc::framing_field);
        }
    }
}

constexpr combination some_combinations[] = {combination::keep_alive_on_context,
                                             combination::null_offloaded};

// Says this to whoever wants a tunnel, and then nothing more, or no more at all.
http_peer::script says(std::string text, bool closes)
{
    return [text = std::move(text), closes](http_peer::caller& c) {
        if (c.read_until("\r\n\r\n").empty())
            return;
        c.write(text);
        if (closes)
            c.close();
        c.await_end();
    };
}

void check_no_tunnel(const seen& s, const proxied& p, const error_code& ec)
{
    CHECK(s.ec == ec);
    CHECK(s.evidence.stage == stage::tunnel);
    CHECK(s.evidence.bytes_sent == 0);
    const auto text = text_of(s.error);
    CHECK(text.find(p.server.url("") + ", proxy " + name_of(p.proxy)) != std::string::npos);
    CHECK(!has_secret(text));
}

TEST_CASE("http: a proxy that does not connect is an error with its name and its status")
{
    for (const auto what : some_combinations) {
        INFO(name_of(what));
        for (const int status : {301, 400, 403, 407, 502, 503, 600}) {
            const auto code = std::to_string(status);
            CAPTURE(code);
            proxied p(
                what, true,
                says("HTTP/1.1 " + code + " secret\r\nContent-Length: 6\r\n\r\nsecret", false));
            const auto s = p.get("/");
            check_no_tunnel(s, p, errc::proxy_refused);
            CHECK(s.ec == condition::status);
            CHECK(text_of(s.error).find(": status " + code) != std::string::npos);
            CHECK((text_of(s.error).find("does not take this user") != std::string::npos) ==
                  (status == 407));
            CHECK(p.server.connections() == 0);
            CHECK(p.client->stats().leased == 0);
        }
        proxied open(what, true, says("HTTP/1.1 407 Who?\r\n\r\n", false), [&](auto& with) {
            const auto* const known =
                with.proxies.find(http::parse_url("https://127.0.0.1").origin);
            with.proxies = http::proxies::all(known->to_string());
        });
        CHECK(text_of(open.get("/").error).find("it wants a user and a password") !=
              std::string::npos);
    }
}

TEST_CASE("http: a proxy that answers wrongly is an error, in the stage tunnel")
{
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const std::vector<std::pair<std::string, errc>> wrong{
        {ok + "\r\nx", errc::proxy_sent_more},
        {ok + "Content-Length: 1\r\n\r\nx", errc::proxy_sent_more},
        {"SSH-2.0-x\r\n", errc::bad_version},
        {"\x15\x03\x01\x00\x02\x02\x46", errc::bad_version},
        {"HTTP/1.1 20 OK\r\n\r\n", errc::bad_status},
        {"HTTP/1.1 200 OK\n\n", errc::bad_head},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", errc::unasked_upgrade},
        {ok + "A: " + std::string(70'000, 'a') + "\r\n\r\n", errc::head_too_large},
        {ok + std::string(70'000, 'a'), errc::head_too_large},
    };
    for (const auto what : some_combinations) {
        INFO(name_of(what));
        for (const auto& [text, code] : wrong) {
            CAPTURE(text.substr(0, 40));
            proxied p(what, true, says(text, false));
            check_no_tunnel(p.get("/"), p, code);
            CHECK(p.server.connections() == 0);
        }
        proxied tls(what, true, says("\x16\x03\x01", false));
        CHECK(text_of(tls.get("/").error).find("the proxy speaks TLS on this port") !=
              std::string::npos);
        proxied resets(what, true, [](http_peer::caller& c) {
            c.read_until("\r\n\r\n");
            c.reset();
        });
        check_no_tunnel(resets.get("/"), resets, asio::error::connection_reset);
    }
}

TEST_CASE("http: a proxy's answer may be cut anywhere, but must be whole")
{
    const std::string text = "HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    for (const auto what : some_combinations) {
        INFO(name_of(what));
        for (std::size_t n = 0; n != text.size(); ++n) {
            CAPTURE(n);
            proxied p(what, true, says(text.substr(0, n), true));
            check_no_tunnel(p.get("/"), p, n == 0 ? errc::no_response : errc::incomplete);
        }
        http_peer server(note_and_answer, true);
        proxied p(what, true, leads_to(server.endpoint(), text, true),
                  [&](auto& with) { with.tls.trusted_file = server.root_file(); });
        CHECK(p.get("/").answer.body == "hello");
    }
}

TEST_CASE("http: a proxy has its time to connect, and a request the rest of its own")
{
    for (const auto what : some_combinations) {
        INFO(name_of(what));
        for (const auto* text : {"", "HTTP/1.1 200 OK\r\nA: "}) {
            proxied p(what, true, says(text, false),
                      [](auto& with) { with.timeouts.tunnel = 20ms; });
            const auto late = p.get("/");
            check_no_tunnel(late, p, errc::timed_out);
            CHECK(late.evidence.timeout == "tunnel");
            CHECK(late.evidence.allowed == 20ms);
            CHECK(late.ec == condition::timeout);
        }
        proxied p(what, true, says("", false), [](auto& with) { with.timeouts.total = 50ms; });
        const auto late = p.get("/");
        CHECK(late.ec == errc::timed_out);
        CHECK(late.evidence.timeout == "total");
    }
    asio::io_context context(1);
    const auto refused = thrown_by<boost::system::system_error>([&] {
        http::client_options with;
        with.timeouts.tunnel = -1ms;
        http::client client{context, with};
    });
    CHECK(text_of(refused).find("timeouts.tunnel") != std::string::npos);
}

// Moves a request through a tunnel to each point where it waits, and calls `f(what, it, is_over)`.
template <class F>
void wherever_it_waits(F f)
{
    const auto before = open_descriptors();
    for (const auto what : all_combinations) {
        INFO(name_of(what));
        http_peer server(answer_errands, true);
        http_peer proxy(leads_to(server.endpoint()));
        loopsafe::worker_threads workers;
        int steps = 0;
        for (bool is_over = false; !is_over; ++steps) {
            CAPTURE(steps);
            stepped w({what, true, errand::get}, server, &workers,
                      [&](auto& with) { with.proxies = through(proxy); });
            w.begin();
            is_over = !w.step(steps);
            f(what, w, is_over);
        }
        CHECK(steps > 3);
        CHECK(workers.join(10s));
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE(
    "http: a request through a tunnel may be cancelled wherever it waits, and nothing is lost")
{
    std::set<combination> broken_off;
    wherever_it_waits([&](combination what, stepped& w, bool is_over) {
        if (!is_over) {
            w.signal.emit(asio::cancellation_type::terminal);
            run_until(*w.context, [&] { return w.ended; });
        }
        if (w.error != nullptr) {
            CHECK(code_of(w.error) == asio::error::operation_aborted);
            broken_off.insert(what);
        } else {
            CHECK(w.got == w.target());
        }
        CHECK(w.client->stats().leased == 0);
        CHECK(w.client->stats().waiting == 0);
        CHECK(w.ask("/after") == "/after");
    });
    CHECK(broken_off.size() == std::size(all_combinations));
}

TEST_CASE("http: the context may die wherever a request through a tunnel waits")
{
    wherever_it_waits([](combination what, stepped& w, bool is_over) {
        w.context.reset();
        CHECK(w.ended == is_over);
        CHECK(!w.frame_lives());
        w.context.emplace(1);
        if (!has_home(what))
            CHECK(w.ask("/after") == "/after");
    });
}

TEST_CASE(
    "http: the certificate within a tunnel is the server's, whose name only the proxy looks up")
{
    for (const auto what : some_combinations) {
        INFO(name_of(what));
        http_peer server(
            [](http_peer::caller& c) {
                const char* const name = SSL_get_servername(c.ssl(), TLSEXT_NAMETYPE_host_name);
                c.peer().note(name != nullptr ? name : "-");
                note_and_answer(c);
            },
            true);
        std::vector<std::string> looked_up;
        bool verify = false;
        const auto more = [&](http::single_use_client_options& with) {
            const auto port = http::parse_url("https://x").origin;
            const auto old = with.proxies.find(port)->to_string();
            with.proxies = http::proxies::all("proxy.test" + old.substr(old.find(':')));
            with.base_url = "https://server.test:1234";
            with.tls.trusted_file = server.root_file();
            with.tls.verify = verify;
            with.resolve = [&](std::string_view name) -> std::vector<asio::ip::address> {
                looked_up.emplace_back(name);
                return {asio::ip::address_v4::loopback()};
            };
        };
        proxied blind(what, true, leads_to(server.endpoint()), more);
        CHECK(blind.get("/").answer.body == "hello");
        CHECK(blind.proxy.notes().front() ==
              "CONNECT server.test:1234 HTTP/1.1\r\nHost: server.test:1234\r\n\r\n");
        CHECK(server.notes().front() == "server.test");
        verify = true;
        proxied careful(what, true, leads_to(server.endpoint()), more);
        const auto refused = careful.get("/");
        CHECK(refused.evidence.stage == stage::tls);
        CHECK(text_of(refused.error).find("https://server.test:1234, proxy proxy.test:") !=
              std::string::npos);
        CHECK(looked_up == std::vector<std::string>(2, "proxy.test"));
    }
}

TEST_CASE("http: a tunnel is carried over to the next context, and told to the hook")
{
    http_peer server(note_and_answer, true);
    http_peer proxy(leads_to(server.endpoint()));
    std::vector<std::string> heard;
    http::carried_client_options with;
    with.tls.trusted_file = server.root_file();
    with.proxies = through(proxy);
    with.idle_timeout = 1h;
    with.on_event = [&](const http::event& e) { heard.emplace_back(to_string(e.what)); };
    http::basic_client<loopsafe::carry_over_pool> client{with};
    for (int i = 0; i != 2; ++i) {
        asio::io_context context(1);
        CHECK(run_on(context, client.get(server.url("/"))).body == "hello");
    }
    CHECK(proxy.connections() == 1);
    CHECK(heard == std::vector<std::string>{"resolved", "connected", "tunnelled", "secured",
                                            "acquired", "first_byte", "returned", "parked",
                                            "adopted", "acquired", "first_byte", "returned",
                                            "parked"});
}

TEST_CASE("http: a client goes through a UNIX socket or through proxies, not both")
{
    asio::io_context context(1);
    http::client_options with;
    with.unix_socket = "/nowhere";
    with.proxies.for_https("proxy:3128");
    const auto refused =
        thrown_by<boost::system::system_error>([&] { http::client client{context, with}; });
    CHECK(refused.code() == loopsafe::errc::bad_option);
    CHECK(text_of(refused).find("unix_socket and proxies") != std::string::npos);
    with.proxies = http::proxies::from_environment(
        [](const char*) -> std::optional<std::string> { return {}; });
    CHECK_NOTHROW(http::client(context, with));
}

} // namespace

} // namespace proxied_tests
