// SPDX-License-Identifier: BSL-1.0
// What only some clients have: a home that refuses, options of what is kept, a context that may run
// out of work, names, UNIX sockets, hooks.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/definitions.hpp> // for a policy with a clock of its own
#include <loopsafe/testing/manual_clock.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>

#include <http/support.hpp>
#include <sys/wait.h>
#include <unistd.h>

namespace client_tests {

namespace {

using namespace http_test;
using loopsafe::context_error;
using loopsafe::testing::manual_clock;
using loopsafe::testing::two_contexts;

using timed_client =
    http::basic_client<loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, manual_clock>>;

constexpr const char* cure =
    "\n  cure:  make the client inside the context that uses it, or choose "
    "http::basic_client<null_pool> (a new connection each time), <per_context_pool> (each context "
    "keeps its own), <carry_over_pool> (the next context gets what the last one leaves) or "
    "<keep_alive_pool, thread_offload> (any context)";
constexpr const char* stream_cure = "\n  cure:  use it in the context that sent the request; to "
                                    "use a response in another one, read all "
                                    "of it with send()";

std::string first_seen(asio::io_context& context, const std::string& where)
{
    return "context #" + number_of(context) + ", first seen at " + where + ", alive";
}

TEST_CASE("a client refuses another living context, says why, and still works at home (http row 1)")
{
    http_peer peer(http_peer::always(answer("ok")));
    two_contexts contexts;
    const auto made = next_line();
    http::client client{contexts.a};
    const auto named = next_line();
    loopsafe::name_context(contexts.b, "worker");
    CHECK(run_on(contexts.a, client.get(peer.url())).body == "ok");

    const auto used = next_line();
    const auto ask = [&] { run_on(contexts.b, client.get(peer.url())); };
    const auto refused = thrown_by<context_error>(ask);
    CHECK(refused.code() == loopsafe::errc::wrong_context);
    CHECK(std::string(refused.what()) ==
          "http::client: used from a context that is not its home\n  home:  " +
              first_seen(contexts.a, made) + "\n  asked: context #" + number_of(contexts.b) +
              " \"worker\", named at " + named + ", alive\n  used:  send at " + used + cure);
    CHECK(thrown_by<context_error>([&] { run_on(contexts.b, client.async_close(1s)); }).code() ==
          loopsafe::errc::wrong_context);
    CHECK(run_on(contexts.a, client.get(peer.url())).body == "ok");
    CHECK(peer.connections() == 1);
    CHECK(client.stats().connects == 1);
}

TEST_CASE("a client refuses the successor of its dead home, at the same address (http row 2)")
{
    http_peer peer(http_peer::always(answer("ok")));
    mortal_context context;
    const auto made = next_line();
    http::client client{*context};
    CHECK(run_on(*context, client.get(peer.url())).body == "ok");
    const auto number = number_of(*context);
    const auto* const address = &*context;
    context.reborn();
    CHECK(&*context == address);

    const auto used = next_line();
    const auto ask = [&] { run_on(*context, client.get(peer.url())); };
    const auto refused = thrown_by<context_error>(ask);
    CHECK(refused.code() == loopsafe::errc::context_closed);
    CHECK(std::string(refused.what()) ==
          "http::client: its home context is gone\n  home:  context #" + number +
              ", first seen at " + made + ", gone\n  asked: " + first_seen(*context, used) +
              "\n  used:  send at " + used + cure);
    CHECK(peer.connections() == 1);
    CHECK(client.stats().idle == 0);
}

TEST_CASE("a body is not read on another context, nor written (http row 3)")
{
    http_peer peer([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request())
            c.write(answer("0123456789"));
    });
    two_contexts contexts;
    const auto made = next_line();
    http::client client{contexts.a};
    std::array<char, 4> some{};
    const auto reader = [&](http::incoming_response& in) -> asio::awaitable<std::string> {
        co_await in.read_some(asio::buffer(some));
        const auto used = next_line();
        const auto read = [&] { run_on(contexts.b, in.read_some(asio::buffer(some))); };
        const auto refused = thrown_by<context_error>(read);
        CHECK(refused.code() == loopsafe::errc::wrong_context);
        const std::string said = refused.what();
        CAPTURE(said);
        CHECK(said == "http::incoming_response: used from a context that is not its home"
                      "\n  home:  " +
                          first_seen(contexts.a, made) +
                          "\n  asked: " + first_seen(contexts.b, used) +
                          "\n  used:  read_some at " + used + stream_cure);
        co_return co_await in.read_all(100);
    };
    CHECK(run_on(contexts.a, client.with_response({"GET", peer.url()}, reader)) == "456789");

    const auto maker = [&](http::body_writer& out) -> asio::awaitable<void> {
        const auto write = [&] { run_on(contexts.b, out.write("x")); };
        const std::string said = thrown_by<context_error>(write).what();
        CHECK(said.starts_with("http::body_writer: used from a context that is not its home"));
        co_await out.write("all");
    };
    CHECK(run_on(contexts.a, client.send({"POST", peer.url(), http::request_body::streamed(maker)}))
              .ok());
    CHECK(peer.connections() == 1);
}

TEST_CASE("a client wants a context for a home (http row 4)")
{
    const auto refused = thrown_by<context_error>(
        [] { http::client client{asio::any_io_executor(asio::system_executor())}; });
    CHECK(refused.code() == loopsafe::errc::no_context);
    CHECK(std::string(refused.what()).find("cure:  give it an io_context") != std::string::npos);
}

TEST_CASE("http: a context runs out of work although a connection is kept with a deadline")
{
    http_peer peer(http_peer::always(answer("ok")));
    const auto ends = [&](auto& context, const auto& executor) {
        http::client client{executor};
        int answered = 0;
        for (int i = 0; i != 3; ++i) {
            asio::co_spawn(executor, client.get(peer.url()),
                           [&](const std::exception_ptr& e, const response&) {
                               CHECK(e == nullptr);
                               ++answered;
                           });
            context.restart();
            context.run(); // would go on for half a minute
            CHECK(answered == i + 1);
            CHECK(client.stats().idle == 1);
        }
    };
    asio::io_context context(1);
    ends(context, context.get_executor());
    ends(context, asio::make_strand(context));
    ends(context, asio::make_strand(asio::any_io_executor(context.get_executor())));
    {
        asio::thread_pool pool(2);
        http::client client{pool};
        const auto strand = asio::make_strand(pool);
        asio::co_spawn(strand, client.get(peer.url()),
                       [](const std::exception_ptr& e, const response&) { CHECK(e == nullptr); });
        pool.join();
        CHECK(client.stats().idle == 1);
    }
    CHECK(peer.connections() == 4);
}

// A context, a client on a clock that the test moves, and a request under way on it.
struct timed {
    explicit timed(http_peer::script script,
                   const std::function<void(timed_client::options&)>& change = {})
        : peer(std::move(script))
    {
        manual_clock::reset();
        timed_client::options with;
        with.base_url = peer.url("");
        if (change)
            change(with);
        client.emplace(context, with);
    }

    void begin(request r)
    {
        ended.reset();
        asio::co_spawn(context, watch(client->send(std::move(r))),
                       [this](const std::exception_ptr& e, seen s) {
                           CHECK(e == nullptr);
                           ended = std::move(s);
                       });
        run_ready(context);
    }
    void await_note(const std::string& what)
    {
        peer.await_note(what);
        run_ready(context);
    }
    void pass(std::chrono::milliseconds time)
    {
        manual_clock::advance(context, time);
        run_ready(context);
        run_ready(context);
    }
    seen end()
    {
        run_until(context, [this] { return ended.has_value(); });
        return std::move(*ended);
    }
    seen get() { return begin({"GET", "/"}), end(); }

    http_peer peer;
    asio::io_context context{1};
    std::optional<timed_client> client;
    std::optional<seen> ended;
};

TEST_CASE(
    "http: an error says where its request was made, also one that a reader of its body meets")
{
    http_peer peer([](http_peer::caller& c) {
        c.read_request();
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        c.close();
    });
    asio::io_context context(1);
    http::client client(context);
    const auto text = [&](auto& ask) { return text_of(thrown_by<http::error>(ask)); };
    std::string used = next_line();
    const auto send = [&] { run_on(context, client.get(peer.url())); };
    CHECK(text(send).ends_with("\n  used:  " + used));
    const auto reader = [](http::incoming_response& r) { return r.read_all(100); };
    used = next_line();
    const auto read = [&] { run_on(context, client.with_response({"GET", peer.url()}, reader)); };
    CHECK(text(read).ends_with("\n  used:  " + used));
    const std::string nowhere = "http://127.0.0.1:1/";
    used = next_line();
    const auto connect = [&] { run_on(context, client.get(nowhere)); };
    CHECK(text(connect).ends_with("\n  used:  " + used));
    used = next_line();
    const auto parse = [&] { run_on(context, client.get("no URL")); };
    CHECK(text(parse).ends_with("\n  used:  " + used));
}

TEST_CASE("http: events say which request they are about, its status and how long each step took")
{
    // The hook takes time: a millisecond more each time that it is called.
    manual_clock::reset();
    http_peer peer([](http_peer::caller& c) {
        while (!c.read_request().empty())
            c.write(answer("ok"));
    });
    std::vector<std::string> told;
    timed_client::options with;
    with.on_event = [&](const http::event& e) {
        manual_clock::move(std::chrono::milliseconds(told.size() + 1), 0ms, 0ms);
        told.push_back(std::string(to_string(e.what)) + " of " + std::to_string(e.request) +
                       " took " + std::to_string(e.took / 1ms) + " status " +
                       std::to_string(e.status));
    };
    asio::io_context context(1);
    timed_client client(context, with);
    for (int i = 0; i != 2; ++i)
        CHECK(run_on(context, client.get(peer.url())).body == "ok");
    const std::vector<std::string> expected{
        "resolved of 0 took 0 status 0",   "connected of 0 took 1 status 0",
        "acquired of 1 took 3 status 0",   "first_byte of 1 took 3 status 0",
        "returned of 1 took 7 status 200", "acquired of 2 took 0 status 0",
        "first_byte of 2 took 6 status 0", "returned of 2 took 13 status 200",
    };
    CHECK(told == expected);
}

TEST_CASE("http: each stage has its deadline, and none is early")
{
    timed t(
        [](http_peer::caller& c) {
            c.read_request();
            c.peer().note("asked " + std::to_string(c.number()));
            c.read_until("go"); // never comes
        },
        [](auto& o) { o.timeouts.gap = 1s; });
    t.begin({"GET", "/"});
    run_until(t.context, [&] { return t.client->stats().leased == 1; });
    t.await_note("asked 0");
    t.pass(29'999ms);
    CHECK(!t.ended);
    t.pass(1ms);
    auto s = t.end();
    CHECK(s.ec == errc::timed_out);
    CHECK(s.evidence.stage == stage::first_byte);
    CHECK(s.evidence.bytes_sent > 0);

    request quick("GET", "/");
    quick.timeouts.emplace();
    quick.timeouts->total = 5s;
    t.begin(std::move(quick));
    t.await_note("asked 1");
    t.pass(4'999ms);
    CHECK(!t.ended);
    t.pass(1ms);
    CHECK(t.end().ec == errc::timed_out);
    CHECK(t.client->stats().leased == 0);
    CHECK(t.client->stats().idle == 0);
}

TEST_CASE("http: a head that the socket does not take at once arrives whole, or its time passes")
{
    constexpr std::size_t size = 4'000'000; // more than the socket holds
    http_peer peer([](http_peer::caller& c) {
        const auto head = c.read_until("\r\n\r\n");
        c.write(answer(std::to_string(std::count(head.begin(), head.end(), '~'))));
    });
    http_peer deaf([](http_peer::caller& c) { c.peer().await_note("done"); });
    asio::io_context context(1);
    http::client client{context};
    http::request asked{"GET", peer.url()};
    asked.headers.add("x", std::string(size, '~'));
    http::request lost{"GET", deaf.url()};
    lost.headers.add("x", std::string(4 * size, '~'));
    lost.timeouts.emplace();
    lost.timeouts->write = 50ms;
    CHECK(run_on(context, client.send(std::move(asked))).body == std::to_string(size));
    const auto ask = [&] { run_on(context, client.send(std::move(lost))); };
    const auto failed = thrown_by<http::error>(ask);
    deaf.note("done");
    CHECK(failed.code() == http::errc::timed_out);
    CHECK(failed.seen().stage == stage::write);
    CHECK(failed.seen().bytes_sent > 0);
}

TEST_CASE(
    "http uploads: a server that talks and takes nothing is waited for as long as a silent one")
{
    timed t([](http_peer::caller& c) {
        c.read_until("\r\n\r\n");
        c.write("HTTP/1.1 200 OK\r\n");
        for (int i = 0; i != 10; ++i) {
            c.peer().await_note("go on " + std::to_string(i));
            c.write("X-More: of it\r\n");
            c.peer().note("said " + std::to_string(i));
        }
        c.peer().await_note("done");
    });
    t.begin({"POST", "/", std::string(50'000'000, 'x')});
    for (int i = 0; i != 10; ++i) {
        t.peer.note("go on " + std::to_string(i));
        t.await_note("said " + std::to_string(i));
        t.pass(20s); // the limit is 30 s
    }
    t.peer.note("done");
    const auto s = t.end();
    CHECK(s.ec == errc::timed_out);
    CHECK(s.evidence.timeout == "write");
}

TEST_CASE("http: what the caller does meanwhile is no time of the server's")
{
    timed t([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            c.write(answer("0123456789"));
            c.peer().note("answered");
        }
    });
    bool paused = false;
    bool done = false;
    loopsafe::testing::manual_clock::timer pause(t.context);
    const auto wait = [&]() -> asio::awaitable<void> {
        paused = true;
        pause.expires_after(1h);
        co_await pause.async_wait(asio::use_awaitable);
    };
    const auto reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
        std::array<char, 4> some{};
        co_await in.read_some(asio::buffer(some));
        co_await wait();
        CHECK(co_await in.read_all(100) == "456789");
    };
    asio::co_spawn(t.context, t.client->with_response({"GET", "/"}, reader),
                   [&](const std::exception_ptr& e) {
                       CHECK(e == nullptr);
                       done = true;
                   });
    run_until(t.context, [&] { return paused; });
    t.pass(1h);
    run_until(t.context, [&] { return done; });

    paused = false;
    const auto maker = [&](http::body_writer& out) -> asio::awaitable<void> {
        CHECK(co_await out.write("some"));
        co_await wait();
        CHECK(co_await out.write("more"));
    };
    t.begin({"POST", "/", http::request_body::streamed(maker)});
    run_until(t.context, [&] { return paused; });
    t.pass(1h);
    CHECK(t.end().ec == error_code());
}

TEST_CASE("http: the time for all counts from first to last, also where nothing is sent yet")
{
    timed t(
        [](http_peer::caller& c) {
            c.read_request();
            c.peer().note("asked");
            c.await_end();
        },
        [](auto& o) { o.max_total = 1; });
    asio::co_spawn(t.context, t.client->get("/"), [](const std::exception_ptr&, response) {});
    run_until(t.context, [&] { return t.client->stats().leased == 1; });
    request quick("GET", "/");
    quick.timeouts.emplace();
    quick.timeouts->total = 1s;
    t.begin(std::move(quick));
    CHECK(!t.ended);
    t.pass(1s);
    const auto s = t.end();
    CHECK(s.ec == errc::timed_out);
    CHECK(s.evidence.stage == stage::wait);
    CHECK(s.evidence.timeout == "total");

    request centuries("GET", "/");
    centuries.timeouts.emplace();
    centuries.timeouts->total = std::chrono::hours(24 * 365 * 300);
    t.begin(std::move(centuries));
    CHECK(!t.ended);
    t.client.reset();
    t.pass(30s);
    run_until(t.context, [&] { return t.ended.has_value(); });
}

TEST_CASE("http: a deadline that moved on is not the old one, and a shorter one comes sooner")
{
    timed t([](http_peer::caller& c) {
        for (int i = 0; !c.read_request().empty(); ++i) {
            c.peer().note("asked " + std::to_string(i));
            if (i < 2)
                c.write(answer("ok"));
        }
    });
    CHECK(t.get().answer.body == "ok"); // waits until 30 s
    t.pass(900ms);
    CHECK(t.get().answer.body == "ok");
    CHECK(t.peer.connections() == 1);
    t.pass(900ms);
    t.begin({"GET", "/"});
    t.await_note("asked 2");
    t.pass(29'000ms); // the first deadline passes here
    CHECK(!t.ended);
    t.pass(1'000ms);
    CHECK(t.end().ec == errc::timed_out);

    timed other([](http_peer::caller& c) {
        c.read_request();
        c.write(answer("ok"));
        c.read_until("what never comes");
    });
    CHECK(other.get().answer.body == "ok");
    request quick("POST", "/");
    quick.timeouts.emplace();
    quick.timeouts->first_byte = 1s;
    other.begin(std::move(quick));
    other.pass(1s);
    CHECK(other.end().ec == errc::timed_out);
}

TEST_CASE("a deadline that passes in a forked child leaves the parent's request alone (http row 7)")
{
    timed t([](http_peer::caller& c) {
        c.read_request();
        c.peer().note("asked");
        c.peer().await_note("forked");
        c.write(answer("ok"));
        c.await_end();
    });
    t.begin({"GET", "/"});
    run_until(t.context, [&] { return t.client->stats().leased == 1; });
    t.await_note("asked");
    t.context.notify_fork(asio::execution_context::fork_prepare);
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        t.context.notify_fork(asio::execution_context::fork_child);
        t.pass(31s);
        ::_exit(0);
    }
    t.context.notify_fork(asio::execution_context::fork_parent);
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    t.peer.note("forked");
    CHECK(t.end().answer.body == "ok");
}

TEST_CASE("http: a connection is not used again after its time")
{
    timed t(http_peer::always(answer("ok")));
    CHECK(t.get().ec == error_code());
    t.pass(3'900ms);
    CHECK(t.get().evidence.reused);
    t.pass(4'100ms);
    CHECK(!t.get().evidence.reused);
    CHECK(t.peer.connections() == 2);

    timed hinted(http_peer::always(answer("ok", "Keep-Alive: timeout=4\r\n")));
    CHECK(hinted.get().ec == error_code());
    hinted.pass(1'900ms);
    CHECK(hinted.get().evidence.reused);
    hinted.pass(2'000ms);
    CHECK(!hinted.get().evidence.reused);

    timed short_lived(http_peer::always(answer("ok", "Keep-Alive: timeout=2\r\n")));
    CHECK(short_lived.get().ec == error_code());
    CHECK(short_lived.client->stats().idle == 0);
}

TEST_CASE("http: an idle connection that its peer has closed, or spoken on, is not used again")
{
    for (const bool speaks : {false, true}) {
        timed t([&](http_peer::caller& c) {
            c.read_request();
            c.write(answer("ok"));
            if (c.number() == 0) {
                c.peer().await_note("answered");
                if (speaks)
                    c.write("HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n");
                c.close();
                c.peer().note("gone");
            }
            c.await_end();
        });
        CHECK(t.get().answer.body == "ok");
        t.peer.note("answered");
        t.peer.await_note("gone");
        t.pass(1'100ms);
        const auto s = t.get();
        CHECK(s.answer.body == "ok");
        CHECK(!s.evidence.reused);
        CHECK(!s.evidence.replayed);
        CHECK(t.client->stats().closed(loopsafe::close_reason::probe_failed) == 1);
        CHECK(t.peer.connections() == 2);
        t.client.reset();
        run_ready(t.context);
    }
}

TEST_CASE(
    "http: waiting for a connection has a deadline of its own, and is no error of the server's")
{
    timed t(
        [](http_peer::caller& c) {
            c.read_request();
            c.peer().note("asked");
            c.await_end();
        },
        [](auto& o) { o.max_per_origin = 1; });
    t.begin({"GET", "/"});
    run_until(t.context, [&] { return t.client->stats().leased == 1; });
    t.await_note("asked");
    std::optional<seen> second;
    request waits("GET", "/");
    waits.timeouts.emplace();
    waits.timeouts->wait = 1s;
    asio::co_spawn(t.context, watch(t.client->send(std::move(waits))),
                   [&](const std::exception_ptr&, seen s) { second = std::move(s); });
    run_ready(t.context);
    CHECK(t.client->stats().waiting == 1);
    t.pass(1s);
    run_until(t.context, [&] { return second.has_value(); });
    CHECK(second->ec == loopsafe::errc::acquire_timeout);
    CHECK(second->ec == condition::timeout);
    CHECK(!t.ended);
    t.client.reset();
    t.pass(30s);
    CHECK(t.end().ec == errc::timed_out);
}

TEST_CASE("http: a body that follows the answer to HEAD is no answer to the next request")
{
    http_peer peer([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            if (!text.starts_with("HEAD")) {
                c.write(answer("right"));
                continue;
            }
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n");
            c.peer().await_note("answered");
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
            c.peer().note("said more");
        }
    });
    asio::io_context context(1);
    http::client client{context};
    CHECK(run_on(context, client.head(peer.url())).headers["content-length"] == "43");
    CHECK(client.stats().idle == 1);
    peer.note("answered");
    peer.await_note("said more");
    const auto next = run_on(context, client.post(peer.url(), "not idempotent"));
    CHECK(next.body == "right");
    CHECK_FALSE(next.seen.replayed); // nothing was sent before
    CHECK(peer.connections() == 2);
}

TEST_CASE("http: a path is sent encoded and without dot segments, also behind a base URL")
{
    http_peer peer([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request())
            c.write(answer(text.substr(0, text.find(" HTTP"))));
    });
    for (const bool keep : {false, true}) {
        CAPTURE(keep);
        asio::io_context context(1);
        http::client_options options;
        options.keep_dot_segments = keep;
        http::client client{context, options};
        options.base_url = peer.url("/api/v1");
        http::client based{context, options};
        for (int time = 0; time != 2; ++time) { // the second time, the origin is known
            const auto get = [&](http::client& with, const std::string& url) {
                return run_on(context, with.get(url)).body;
            };
            CHECK(get(client, peer.url("/a/../b c?d e")) ==
                  (keep ? "GET /a/../b%20c?d%20e" : "GET /b%20c?d%20e"));
            CHECK(get(client, peer.url("/\xc3\xa4#x y")) == "GET /%C3%A4");
            CHECK(get(based, "/x/../y") == (keep ? "GET /api/v1/x/../y" : "GET /api/v1/y"));
            CHECK(get(based, "z z") == "GET /api/v1/z%20z");
            for (const std::string dots : {"..", ".", "../z", "./z", "..?z", "../.."}) {
                const auto slash = get(based, '/' + dots);
                CHECK(get(based, dots) == slash);
                CHECK((slash.find("/.") != std::string::npos) == keep);
            }
            CHECK(get(based, ".hidden") == "GET /api/v1/.hidden");
            CHECK(get(based, "/../../../y") == (keep ? "GET /api/v1/../../../y" : "GET /y"));
        }
    }
}

TEST_CASE("http: a unix_socket that no address can hold is refused with the options")
{
    asio::io_context context(1);
    const auto refused = thrown_by<boost::system::system_error>([&] {
        http::client_options options;
        options.unix_socket = "/tmp/" + std::string(200, 'x');
        http::client client{context, options};
    });
    CHECK(refused.code() == loopsafe::errc::bad_option);
    CHECK(text_of(refused).find("unix_socket") != std::string::npos);
}

TEST_CASE("http: a name below localhost is on the loopback")
{
    http_peer peer([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request())
            c.write(answer(text.find("Host: app.localhost:") != std::string::npos ? "ok" : text));
    });
    asio::io_context context(1);
    http::client client{context};
    auto url = peer.url("/");
    const std::string_view host = "127.0.0.1";
    REQUIRE(url.find(host) != std::string::npos);
    url.replace(url.find(host), host.size(), "app.localhost");
    CHECK(run_on(context, client.get(url)).body == "ok");
}

TEST_CASE_TEMPLATE("http: a client that was moved from is a closed one", T, http::client,
                   http::basic_client<loopsafe::null_pool>,
                   http::basic_client<loopsafe::carry_over_pool>,
                   http::basic_client<loopsafe::keep_alive_pool, loopsafe::thread_offload>)
{
    asio::io_context context(1);
    std::optional<T> client;
    if constexpr (std::same_as<T, http::client>)
        client.emplace(context);
    else
        client.emplace();
    const T moved(std::move(*client));
    CHECK(run_on(context, watch(client->get("http://127.0.0.1:1/"))).ec ==
          loopsafe::errc::pool_closed);
    run_on(context, client->async_close(10s));
    client->invalidate();
    client->thaw();
    client->close();
    if constexpr (requires { client->drop_parked(); })
        client->drop_parked();
    CHECK(client->stats().connects == 0);
    CHECK_FALSE(client->home().alive());
}

TEST_CASE("http: a URL that only begins like the last one is looked at whole")
{
    http_peer peer([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request())
            c.write(answer(text.substr(0, text.find(" HTTP"))));
    });
    asio::io_context context(1);
    http::client client{context};
    const auto get = [&](const std::string& rest) {
        return run_on(context, watch(client.get(peer.url(rest))));
    };
    CHECK(get("/a").answer.body == "GET /a");
    CHECK(get("/b?c#d").answer.body == "GET /b?c");
    CHECK(get("?c").answer.body == "GET /?c");
    CHECK(get("#d").answer.body == "GET /");
    CHECK(get("").answer.body == "GET /");
    CHECK(get("/a b").answer.body == "GET /a%20b");
    for (const std::string wrong : {"/a\tb", "/a\r\nX: y", "@other/", "0000/", "x/"}) {
        CAPTURE(wrong);
        CHECK(get(wrong).ec == errc::bad_url);
    }
    CHECK(get("/again").evidence.reused);
    CHECK(peer.connections() == 1);
}

TEST_CASE("http: where all servers together have too many connections, the oldest idle ones go")
{
    http_peer first(http_peer::always(answer("ok")));
    http_peer second(http_peer::always(answer("ok")));
    http_peer third(http_peer::always(answer("ok")));
    asio::io_context context(1);
    http::client::options with;
    with.max_total = 2;
    http::client client{context, with};
    for (auto* peer : {&first, &second, &third})
        CHECK(run_on(context, client.get(peer->url())).body == "ok");
    CHECK(client.stats().idle == 2);
    CHECK(run_on(context, client.get(third.url())).seen.reused);
    CHECK(run_on(context, client.get(second.url())).seen.reused);
    CHECK(!run_on(context, client.get(first.url())).seen.reused);
    CHECK(client.stats().idle == 2);
}

TEST_CASE("http: a client that goes everywhere does not remember everything")
{
    http_peer peer([](http_peer::caller& c) {
        c.read_request();
        c.write(answer("ok", "Connection: close\r\n"));
    });
    asio::io_context context(1);
    http::client::options with;
    with.resolve = [](std::string_view) {
        return std::vector{asio::ip::address(asio::ip::address_v4::loopback())};
    };
    http::client client{context, with};
    const auto port = ':' + std::to_string(peer.endpoint().port()) + '/';
    constexpr std::size_t servers = 1100;
    for (std::size_t i = 0; i != servers; ++i)
        CHECK(run_on(context, client.get("http://h" + std::to_string(i) + port)).body == "ok");
    CHECK(client.stats().connects < servers); // what was forgotten is not counted
    CHECK(client.stats().connects >= 1000);
}

TEST_CASE("http: names are looked up, unless the caller knows better")
{
    http_peer peer(http_peer::always(answer("ok")));
    asio::io_context context(1);
    http::client::options with;
    names asked;
    with.resolve = [&](std::string_view host) -> std::vector<asio::ip::address> {
        asked.emplace_back(host);
        if (host == "service.test")
            return {asio::ip::make_address("127.0.0.1")};
        return {};
    };
    http::client client{context, with};
    const auto port = ':' + std::to_string(peer.endpoint().port()) + '/';
    CHECK(run_on(context, client.get("http://service.test" + port)).body == "ok");
    CHECK(run_on(context, client.get("http://SERVICE.test" + port)).body == "ok");
    CHECK(run_on(context, client.get("http://localhost" + port)).body == "ok");
    CHECK(run_on(context, client.get("http://127.0.0.1" + port)).body == "ok");
    CHECK(asked == names{"service.test", "localhost"});
    CHECK(peer.connections() == 3);
    const auto nowhere = run_on(context, watch(client.get("http://nowhere.invalid/")));
    CHECK(nowhere.ec.failed());
    CHECK(nowhere.evidence.stage == stage::resolve);
}

TEST_CASE("http: a UNIX socket carries requests for whatever host")
{
    const certificates::directory directory;
    asio::io_context io(1);
    const asio::local::stream_protocol::endpoint endpoint(directory.file("socket"));
    asio::local::stream_protocol::acceptor acceptor(io, endpoint);
    std::thread serves([&] {
        auto socket = acceptor.accept();
        std::array<char, 4096> some;
        for (int i = 0; i != 2; ++i) {
            const auto n = socket.read_some(asio::buffer(some));
            const auto text = answer(std::string(some.data(), n));
            asio::write(socket, asio::buffer(text));
        }
        boost::system::error_code ec;
        socket.read_some(asio::buffer(some), ec);
    });
    {
        asio::io_context context(1);
        http::client::options with;
        with.unix_socket = endpoint.path();
        http::client client{context, with};
        CHECK(run_on(context, client.get("http://docker/info"))
                  .body.starts_with("GET /info HTTP/1.1\r\nHost: docker\r\n"));
        CHECK(run_on(context, client.get("http://docker/info")).seen.reused);
        with.unix_socket = directory.file("none");
        http::client other{context, with};
        const auto s = run_on(context, watch(other.get("http://docker/")));
        CHECK(s.ec == boost::system::errc::no_such_file_or_directory);
        CHECK(s.evidence.stage == stage::connect);
    }
    serves.join();
}

TEST_CASE("http: the hook is told what happens, and what it throws is dropped")
{
    http_peer peer(http_peer::always(answer("ok")), true);
    names told;
    asio::io_context context(1);
    http::client::options with;
    with.tls.trusted_file = peer.root_file();
    with.on_event = [&](const http::event& e) {
        CHECK(e.origin.secure);
        switch (e.what) {
        case http::event::kind::resolved: told.emplace_back("resolved"); break;
        case http::event::kind::connected: told.emplace_back("connected"); break;
        case http::event::kind::secured: told.emplace_back("secured"); break;
        case http::event::kind::acquired:
            told.emplace_back(e.reused ? "acquired again" : "acquired");
            break;
        case http::event::kind::first_byte: told.emplace_back("first byte"); break;
        case http::event::kind::replayed: told.emplace_back("replayed"); break;
        case http::event::kind::returned: told.emplace_back(e.kept ? "returned" : "closed"); break;
        default: told.emplace_back("?"); // of other policies
        }
        throw std::runtime_error("dropped");
    };
    http::client client{context, with};
    run_on(context, client.get(peer.url()));
    run_on(context, client.get(peer.url()));
    CHECK(told == names{"resolved", "connected", "secured", "acquired", "first byte", "returned",
                        "acquired again", "first byte", "returned"});
    told.clear();
    const auto fails = [](http::incoming_response&) -> asio::awaitable<void> {
        throw std::runtime_error("the reader failed");
        co_return;
    };
    CHECK_THROWS_WITH(run_on(context, client.with_response({"GET", peer.url()}, fails)),
                      "the reader failed");
    CHECK(told.back() == "closed");
}

TEST_CASE("http: after thaw() a kept connection is looked at before it is used")
{
    http_peer peer([](http_peer::caller& c) {
        c.read_request();
        c.write(answer("ok"));
        c.close();
        c.peer().note("closed");
        c.await_end();
    });
    asio::io_context context(1);
    http::client client{context};
    CHECK(run_on(context, client.get(peer.url())).body == "ok");
    peer.await_note("closed");
    client.thaw();
    const auto again = run_on(context, client.get(peer.url()));
    CHECK(again.body == "ok");
    CHECK_FALSE(again.seen.replayed);
    CHECK(client.stats().closed(loopsafe::close_reason::probe_failed) == 1);
}

TEST_CASE("http: an IPv4 address in brackets is refused, also where its server is known")
{
    http_peer peer(http_peer::always(answer("ok")));
    asio::io_context context(1);
    http::client client{context};
    CHECK(run_on(context, client.get(peer.url())).body == "ok");
    auto bracketed = peer.url();
    bracketed.replace(bracketed.find("127.0.0.1"), 9, "[127.0.0.1]");
    CHECK(thrown_by<http::error>([&] { run_on(context, client.get(bracketed)); }).code() ==
          http::errc::bad_url);
}

TEST_CASE("http: options that make no sense are refused by name")
{
    asio::io_context context(1);
    const auto refused = [&](auto change) -> std::string {
        http::client::options with;
        change(with);
        return thrown_by<boost::system::system_error>([&] { http::client{context, with}; }).what();
    };
    using o = http::client::options;
    CHECK(refused([](o& x) { x.max_per_origin = 0; }).find("max_per_origin") != std::string::npos);
    CHECK(refused([](o& x) { x.max_total = 0; }).find("max_total") != std::string::npos);
    CHECK(refused([](o& x) { x.idle_timeout = 0s; }).find("idle_timeout") != std::string::npos);
    using limit = std::chrono::milliseconds http::timeouts::*;
    const std::pair<limit, std::string> limits[] = {
        {&http::timeouts::wait, "wait"},       {&http::timeouts::resolve, "resolve"},
        {&http::timeouts::connect, "connect"}, {&http::timeouts::tls, "tls"},
        {&http::timeouts::write, "write"},     {&http::timeouts::first_byte, "first_byte"},
        {&http::timeouts::gap, "gap"},         {&http::timeouts::total, "total"}};
    http::client client{context};
    for (const auto& [which, name] : limits) {
        CAPTURE(name);
        const auto text = "timeouts." + name + " must not be negative";
        CHECK(refused([&](o& x) { x.timeouts.*which = -1ms; }).find(text) != std::string::npos);
        http::request asked("GET", "http://127.0.0.1:1/");
        asked.timeouts.emplace().*which = -1ms;
        CHECK(std::string(thrown_by<boost::system::system_error>([&] {
                              run_on(context, client.send(std::move(asked)));
                          }).what())
                  .find(text) != std::string::npos);
    }
    CHECK(refused([](o& x) { x.base_url = "host/path"; }).find("http://") != std::string::npos);
    CHECK(refused([](o& x) { x.base_url = "http://h/?q"; }).find("query") != std::string::npos);
    CHECK(refused([](o& x) { x.headers.set("Host", "h"); }).find("Host") != std::string::npos);
    CHECK(refused([](o& x) { x.headers.set("Content-Length", "1"); }).find("content-length") !=
          std::string::npos);
    CHECK(refused([](o& x) { x.tls.trusted_file = "/none"; }).find("trusted_file") !=
          std::string::npos);
}

} // namespace

} // namespace client_tests
