// SPDX-License-Identifier: BSL-1.0
// What every client does, whatever happens to its connections and wherever its requests run; in the
// clear and over TLS, beside a peer that does what it is told. Real servers: servers.cpp.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <http/support.hpp>
#include <latch>
#include <semaphore>
#include <support/descriptors.hpp>

namespace {

using namespace http_test;

template <combination What, bool Secure>
struct of {
    static constexpr combination what = What;
    static constexpr bool secure = Secure;
};

using keep_alive = of<combination::keep_alive_on_context, false>;
using keep_alive_tls = of<combination::keep_alive_on_context, true>;
using null = of<combination::null_on_context, false>;
using null_tls = of<combination::null_on_context, true>;
using per_context = of<combination::per_context_on_context, false>;
using per_context_tls = of<combination::per_context_on_context, true>;
using carry_over = of<combination::carry_over_on_context, false>;
using carry_over_tls = of<combination::carry_over_on_context, true>;
using keep_alive_offloaded = of<combination::keep_alive_offloaded, false>;
using keep_alive_offloaded_tls = of<combination::keep_alive_offloaded, true>;
using null_offloaded = of<combination::null_offloaded, false>;
using null_offloaded_tls = of<combination::null_offloaded, true>;
using layered = of<combination::layered_on_context, false>;
using layered_tls = of<combination::layered_on_context, true>;
using layered_offloaded = of<combination::layered_offloaded, false>;
using layered_offloaded_tls = of<combination::layered_offloaded, true>;

template <class T>
class linked_as : public linked {
public:
    explicit linked_as(http_peer::script script,
                       const std::function<void(http::single_use_client_options&)>& change = {})
        : linked(T::what, T::secure, std::move(script), change)
    {
    }

    // As many connections as the policy makes for so many requests, one after the other.
    static int connections_for(int requests) { return keeps(T::what) ? 1 : requests; }
};

std::string body_of(const std::string& text)
{
    return text.substr(text.find("\r\n\r\n") + 4);
}

} // namespace

TYPE_TO_STRING(keep_alive);
TYPE_TO_STRING(keep_alive_tls);
TYPE_TO_STRING(null);
TYPE_TO_STRING(null_tls);
TYPE_TO_STRING(per_context);
TYPE_TO_STRING(per_context_tls);
TYPE_TO_STRING(carry_over);
TYPE_TO_STRING(carry_over_tls);
TYPE_TO_STRING(keep_alive_offloaded);
TYPE_TO_STRING(keep_alive_offloaded_tls);
TYPE_TO_STRING(null_offloaded);
TYPE_TO_STRING(null_offloaded_tls);
TYPE_TO_STRING(layered);
TYPE_TO_STRING(layered_tls);
TYPE_TO_STRING(layered_offloaded);
TYPE_TO_STRING(layered_offloaded_tls);

#define CLIENTS                                                                                    \
    keep_alive, keep_alive_tls, null, null_tls, per_context, per_context_tls, carry_over,          \
        carry_over_tls, keep_alive_offloaded, keep_alive_offloaded_tls, null_offloaded,            \
        null_offloaded_tls, layered, layered_tls, layered_offloaded, layered_offloaded_tls

TEST_CASE_TEMPLATE("http contract: a request is answered, whole", T, CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request())
            c.write("HTTP/1.1 201 Made\r\nX-Is: here\r\nContent-Length: " +
                    std::to_string(text.size()) + "\r\n\r\n" + text);
    });
    const auto s = l.get("/path?query#fragment");
    CHECK(s.ec == error_code());
    CHECK(s.answer.status == 201);
    CHECK(s.answer.ok());
    CHECK(s.answer.reason == "Made");
    CHECK(s.answer.headers["x-is"] == "here");
    CHECK(s.answer.trailers.empty());
    const auto& sent = s.answer.body;
    CAPTURE(sent);
    CHECK(sent.starts_with("GET /path?query HTTP/1.1\r\nHost: 127.0.0.1:"));
    CHECK(sent.find("\r\nUser-Agent: loopsafe\r\nAccept: */*\r\n") != std::string::npos);
    CHECK((sent.find("\r\nConnection: close\r\n") != std::string::npos) == !keeps(T::what));
    CHECK(sent.find("Content-Length") == std::string::npos);
    CHECK(s.evidence.bytes_sent >= sent.size());
    CHECK(!s.evidence.reused);
    CHECK(!s.evidence.replayed);

    request all("PUT", "/x", std::string(100'000, 'b'));
    all.headers.add("X-Mine", "1");
    const auto put = l.send(std::move(all));
    CHECK(put.answer.body.starts_with("PUT /x HTTP/1.1\r\nHost: "));
    CHECK(put.answer.body.find("\r\nX-Mine: 1\r\n") != std::string::npos);
    CHECK(body_of(put.answer.body) == std::string(100'000, 'b'));
    CHECK(put.evidence.reused == keeps(T::what));
    CHECK(l.peer.connections() == l.connections_for(2));
}

TEST_CASE_TEMPLATE("http contract: what is kept is used again, and what is not is closed", T,
                   CLIENTS)
{
    linked_as<T> l(http_peer::always(answer("hello")));
    for (int i = 0; i != 5; ++i) {
        const auto s = l.get("/");
        CHECK(s.answer.body == "hello");
        CHECK(s.evidence.reused == (keeps(T::what) && i != 0));
    }
    CHECK(l.peer.connections() == l.connections_for(5));
    const auto stats = l.client->stats();
    CHECK(stats.connects == static_cast<std::size_t>(l.connections_for(5)));
    CHECK(stats.idle == (keeps(T::what) ? 1u : 0u));
    CHECK(stats.leased == 0);
    l.client->invalidate();
    CHECK(l.client->stats().idle == 0);
    CHECK(l.get("/").answer.body == "hello");
    CHECK(l.peer.connections() == l.connections_for(5) + 1);
}

TEST_CASE_TEMPLATE("http contract: responses without a body", T, CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            if (text.starts_with("HEAD"))
                c.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
            else if (text.find(" /204 ") != std::string::npos)
                c.write("HTTP/1.1 204 No Content\r\n\r\n");
            else if (text.find(" /304 ") != std::string::npos)
                c.write("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n");
            else
                c.write(answer(""));
        }
    });
    const auto head = l.send({"HEAD", "/"});
    CHECK(head.answer.status == 200);
    CHECK(head.answer.headers["Content-Length"] == "5");
    CHECK(head.answer.body.empty());
    CHECK(l.get("/204").answer.status == 204);
    CHECK(l.get("/304").answer.status == 304);
    CHECK(l.send({"POST", "/", ""}).answer.status == 200);
    CHECK(l.send({"DELETE", "/"}).answer.status == 200);
    CHECK(l.peer.connections() == l.connections_for(5));
}

TEST_CASE_TEMPLATE("http contract: a body is read while it comes, and its trailers after it", T,
                   CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        while (!c.read_request().empty()) {
            c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for (int i = 0; i != 50; ++i)
                c.write("3e8\r\n" + std::string(1000, static_cast<char>('a' + i % 26)) + "\r\n");
            c.write("0\r\nX-Sum: 50\r\n\r\n");
        }
    });
    for (int i = 0; i != 2; ++i) {
        std::string all;
        run_on(*l.context,
               l.client->with_response(
                   {"GET", "/"}, [&](http::incoming_response& in) -> asio::awaitable<void> {
                       CHECK(in.head().status == 200);
                       CHECK(!in.length());
                       CHECK(in.trailers().empty());
                       std::array<char, 777> some;
                       for (;;) {
                           const auto n = co_await in.read_some(asio::buffer(some));
                           if (n == 0)
                               break;
                           all.append(some.data(), n);
                       }
                       CHECK(co_await in.read_some(asio::buffer(some)) == 0);
                       CHECK(in.trailers()["x-sum"] == "50");
                   }));
        CHECK(all.size() == 50'000);
        CHECK(all.front() == 'a');
        CHECK(all[49'999] == static_cast<char>('a' + 49 % 26));
    }
    CHECK(l.peer.connections() == l.connections_for(2));
    const auto whole = l.get("/");
    CHECK(whole.answer.body.size() == 50'000);
    CHECK(whole.answer.trailers["X-Sum"] == "50");
}

TEST_CASE_TEMPLATE("http contract: a body that is not read to its end costs the connection at most",
                   T, CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        while (!c.read_request().empty()) {
            if (!c.write("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" +
                         std::string(100'000, 'x')))
                return;
        }
    });
    for (int i = 0; i != 3; ++i) {
        run_on(*l.context,
               l.client->with_response({"GET", "/"},
                                       [&](http::incoming_response& in) -> asio::awaitable<void> {
                                           CHECK(in.length() == 10'000'000);
                                           std::array<char, 10> some;
                                           CHECK(co_await in.read_some(asio::buffer(some)) > 0);
                                       }));
        CHECK(l.client->stats().idle == 0);
        CHECK(l.client->stats().leased == 0);
    }
    CHECK(l.peer.connections() == 3);
}

TEST_CASE_TEMPLATE("http contract: a body is not written on after a write that was cancelled", T,
                   CLIENTS)
{
    using namespace asio::experimental::awaitable_operators;
    const std::string large(32'000'000, 'a'); // more than the system takes of what nobody reads
    for (const auto length : {std::optional<std::uint64_t>(), std::optional(2 * large.size())}) {
        std::latch gone_on{1};
        asio::steady_timer* begun = nullptr;
        linked_as<T>* linked = nullptr;
        linked_as<T> l([&](http_peer::caller& c) {
            if (c.number() != 0) {
                c.write(answer(c.read_request()));
                return;
            }
            CHECK(c.read_until("\r\n\r\n").starts_with("POST / HTTP/1.1\r\n"));
            asio::post(*linked->context,
                       [&] { begun->expires_at(asio::steady_timer::time_point::min()); });
            gone_on.wait();
            CHECK(c.read_until("POST").empty()); // the head, a second time
        });
        linked = &l;
        asio::steady_timer under_way(*l.context, asio::steady_timer::time_point::max());
        begun = &under_way;
        std::vector<error_code> later;
        const auto make = [&](http::body_writer& out) -> asio::awaitable<void> {
            const auto first = co_await (out.write(large) ||
                                         under_way.async_wait(asio::as_tuple(asio::use_awaitable)));
            CHECK(first.index() == 1);
            for (const auto* next : {"b", "c"}) {
                try {
                    co_await out.write(next);
                } catch (const http::error& e) {
                    later.push_back(e.code());
                }
            }
            gone_on.count_down();
        };
        const auto s = l.send({"POST", "/", http::request_body::streamed(make, length)});
        CHECK(s.ec == errc::broken_write);
        CHECK(later == std::vector<error_code>(2, errc::broken_write));
        CHECK(l.client->stats().idle == 0);
        CHECK(l.client->stats().leased == 0);
        CHECK(l.get("/next").answer.body.starts_with("GET /next "));
    }
}

TEST_CASE_TEMPLATE("http contract: a write that begins when its maker has ended is refused", T,
                   CLIENTS)
{
    http::body_writer* kept = nullptr;
    error_code late;
    std::counting_semaphore<> made{0};
    linked_as<T>* linked = nullptr;
    linked_as<T> l([&](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            if (text.starts_with("POST")) {
                made.acquire();
                std::latch written{1};
                asio::co_spawn(
                    *linked->context, kept->write("late"), [&](std::exception_ptr error, bool) {
                        late =
                            thrown_by<http::error>([&] { std::rethrow_exception(error); }).code();
                        written.count_down();
                    });
                written.wait();
            }
            c.write(answer(text));
        }
    });
    linked = &l;
    const auto make = [&](http::body_writer& out) -> asio::awaitable<void> {
        CHECK(co_await out.write("early"));
        kept = &out;
        made.release();
    };
    for (const auto length : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(5)}) {
        const auto s = l.send({"POST", "/", http::request_body::streamed(make, length)});
        CHECK(std::exchange(late, {}) == errc::broken_write);
        CHECK(body_of(s.answer.body) == (length ? "early" : "5\r\nearly\r\n0\r\n\r\n"));
        CHECK(l.get("/next").answer.body.starts_with("GET /next "));
    }
}

TEST_CASE_TEMPLATE("http contract: a body is sent while it is made", T, CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request())
            c.write(answer(text));
    });
    const auto make = [](http::body_writer& out) -> asio::awaitable<void> {
        for (int i = 0; i != 3; ++i)
            CHECK(co_await out.write("part" + std::to_string(i)));
        CHECK(co_await out.write(""));
        out.trailers.add("X-T", "end");
    };
    const auto chunked = l.send({"POST", "/", http::request_body::streamed(make)});
    CHECK(chunked.answer.body.find("\r\nTransfer-Encoding: chunked\r\n") != std::string::npos);
    CHECK(body_of(chunked.answer.body) ==
          "5\r\npart0\r\n5\r\npart1\r\n5\r\npart2\r\n0\r\nX-T: end\r\n\r\n");
    const auto sized = l.send({"POST", "/", http::request_body::streamed(make, 15)});
    CHECK(body_of(sized.answer.body) == "part0part1part2");
    CHECK(l.peer.connections() == l.connections_for(2));

    const auto fifteen = [](http::body_writer& out) -> asio::awaitable<void> {
        co_await out.write("0123456789");
        co_await out.write("01234");
    };
    for (const std::uint64_t wrong : {14u, 16u}) {
        const auto s = l.send({"POST", "/", http::request_body::streamed(fifteen, wrong)});
        CHECK(s.ec == errc::bad_length);
        CHECK(s.ec == condition::bad_request);
        const auto lengths = std::to_string(wrong) + " bytes announced, 15 written";
        CHECK(text_of(s.error).find(lengths) != std::string::npos);
    }
    const auto throws = [](http::body_writer& out) -> asio::awaitable<void> {
        co_await out.write("some");
        throw std::runtime_error("the maker failed");
    };
    CHECK_THROWS_WITH(l.send({"POST", "/", http::request_body::streamed(throws)}),
                      "the maker failed");
    CHECK(l.get("/").ec == error_code());
    CHECK(l.client->stats().leased == 0);
}

TEST_CASE_TEMPLATE("http contract: a server that answers before it has read the request is heard",
                   T, CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        c.read_until("\r\n\r\n");
        c.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
        c.say_goodbye();
        c.close();
        while (!c.read_until("never").empty()) {}
    });
    const auto make = [](http::body_writer& out) -> asio::awaitable<void> {
        while (co_await out.write(std::string(10'000, 'x'))) {}
        CHECK(!co_await out.write("x"));
    };
    const auto streamed = l.send({"POST", "/", http::request_body::streamed(make)});
    CHECK(streamed.answer.status == 413);
    CHECK(streamed.answer.body == "big");
    const auto whole = l.send({"POST", "/", std::string(50'000'000, 'x')});
    CHECK(whole.answer.status == 413);
    CHECK(l.client->stats().idle == 0);
}

TEST_CASE_TEMPLATE("http contract: an interim response in the middle of a body does not end it", T,
                   CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        for (auto head = c.read_until("\r\n\r\n"); !head.empty(); head = c.read_until("\r\n\r\n")) {
            c.write("HTTP/1.1 100 Continue\r\n\r\n");
            c.write("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
            const auto body = c.read_until("the end");
            c.write(answer(std::to_string(body.size())));
        }
    });
    const auto whole = l.send({"POST", "/", std::string(10'000'000, 'x') + "the end"});
    CHECK(whole.ec == error_code());
    CHECK(whole.answer.body == "10000007");
    const auto make = [](http::body_writer& out) -> asio::awaitable<void> {
        for (int i = 0; i != 100; ++i)
            CHECK(co_await out.write(std::string(10'000, 'x')));
        CHECK(co_await out.write("the end"));
    };
    const auto streamed = l.send({"POST", "/", http::request_body::streamed(make, 1'000'007)});
    CHECK(streamed.ec == error_code());
    CHECK(streamed.answer.body == "1000007");

    const auto framing = [](http::body_writer& out) -> asio::awaitable<void> {
        out.trailers.add("Content-Length", "5");
        co_return;
    };
    CHECK(l.send({"POST", "/", http::request_body::streamed(framing)}).ec == errc::framing_field);
}

TEST_CASE_TEMPLATE("http contract: an error says what it is, and the client goes on", T, CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        const auto text = c.read_request();
        if (text.find(" /silent ") != std::string::npos)
            return;
        if (text.find(" /reset ") != std::string::npos)
            return c.reset();
        if (text.find(" /short ") != std::string::npos)
            return void(c.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"));
        if (text.find(" /garbage ") != std::string::npos)
            return void(c.write("\x16\x03\x01 garbage\r\n\r\n"));
        if (text.find(" /large ") != std::string::npos)
            return void(c.write("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"));
        c.write(answer("ok"));
        c.await_end();
    });
    const auto check = [&](const char* url, auto expected, stage at) {
        CAPTURE(url);
        const auto s = l.get(url);
        CAPTURE(s.ec);
        CHECK(s.ec == expected);
        CHECK(s.evidence.stage == at);
        CHECK(s.evidence.bytes_sent > 0);
        CHECK(!s.evidence.replayed);
        CHECK(l.client->stats().leased == 0);
        CHECK(l.client->stats().idle == 0);
    };
    check("/silent", errc::no_response, stage::first_byte);
    check("/reset", condition::connection_lost, stage::first_byte);
    check("/short", errc::incomplete, stage::body);
    check("/garbage", condition::protocol, stage::head);
    check("/large", errc::body_too_large, stage::body);
    CHECK(l.get("/").answer.body == "ok");

    for (const std::string bad : {"/a\tb", "http://user@h/", "ftp://h/", "/\r\nX: y"}) {
        const auto s = l.get(bad);
        CHECK(s.ec == errc::bad_url);
        CHECK(s.evidence.stage == stage::prepare);
    }
    CHECK(l.peer.connections() == 6);
}

TEST_CASE_TEMPLATE("http contract: a server that does not listen", T, CLIENTS)
{
    asio::io_context io;
    asio::ip::tcp::acceptor nobody(io, {asio::ip::address_v4::loopback(), 0});
    const auto port = std::to_string(nobody.local_endpoint().port());
    nobody.close();
    linked_as<T> l(http_peer::always(answer("")));
    const auto s = l.get("http://127.0.0.1:" + port + "/");
    CHECK(s.ec == asio::error::connection_refused);
    CHECK(s.evidence.stage == stage::connect);
    CHECK(s.evidence.bytes_sent == 0);
    CHECK(l.get("/").answer.status == 200);
}

TEST_CASE_TEMPLATE(
    "http contract: a request that is cancelled ends, and takes its connection along", T, CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        const auto text = c.read_request();
        if (text.find(" /stalls ") != std::string::npos) {
            c.peer().note("asked");
            c.await_end();
        } else {
            c.write(answer("ok"));
            c.await_end();
        }
    });
    const auto ended = l.send_and_cancel({"GET", "/stalls"}, "asked");
    CHECK(ended.ec == asio::error::operation_aborted);
    CHECK(l.client->stats().leased == 0);
    CHECK(l.client->stats().idle == 0);
    CHECK(l.get("/").answer.body == "ok");
}

TEST_CASE_TEMPLATE("http contract: a deadline that passes ends the request", T, CLIENTS)
{
    linked_as<T> l([](http_peer::caller& c) {
        const auto text = c.read_request();
        if (text.find(" /starts ") != std::string::npos)
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
        c.await_end();
    });
    http::timeouts quick;
    quick.first_byte = quick.gap = 20ms;
    const auto ask = [&](const char* url, http::timeouts limits) {
        request r("GET", url);
        r.timeouts = limits;
        return l.send(std::move(r));
    };
    const auto never_answers = ask("/", quick);
    CHECK(never_answers.ec == errc::timed_out);
    CHECK(never_answers.ec == condition::timeout);
    CHECK(never_answers.evidence.stage == stage::first_byte);
    CHECK(never_answers.evidence.timeout == "first_byte");
    CHECK(never_answers.evidence.allowed == 20ms);
    http::timeouts gap; // a loaded machine may take long for the first byte
    gap.gap = 20ms;
    const auto stalls = ask("/starts", gap);
    CHECK(stalls.ec == errc::timed_out);
    CHECK(stalls.evidence.stage == stage::body);
    CHECK(stalls.evidence.timeout == "gap");
    http::timeouts total;
    total.total = 20ms;
    const auto all = ask("/", total);
    CHECK(all.ec == errc::timed_out);
    CHECK(all.evidence.timeout == "total");
    CHECK(all.evidence.allowed == 20ms);
    CHECK(l.client->stats().leased == 0);
    CHECK(l.client->stats().idle == 0);
}

TEST_CASE_TEMPLATE("http contract: requests beyond the limit wait for their turn", T, CLIENTS)
{
    linked_as<T> l(http_peer::always(answer("ok")),
                   [](http::single_use_client_options& o) { o.max_per_origin = 4; });
    int ended = 0;
    std::size_t most = 0;
    for (int i = 0; i != 40; ++i)
        asio::co_spawn(*l.context, l.client->get("/"),
                       [&](const std::exception_ptr& e, response r) {
                           CHECK(e == nullptr);
                           CHECK(r.body == "ok");
                           most = std::max(most, l.client->stats().leased);
                           ++ended;
                       });
    run_until(*l.context, [&] { return ended == 40; });
    CHECK(most <= 4);
    CHECK(l.peer.connections() <= (keeps(T::what) ? 4 : 40));
    CHECK(l.client->stats().waiting == 0);
}

TEST_CASE_TEMPLATE("http contract: the limit on requests under way holds for all servers together",
                   T, CLIENTS)
{
    std::atomic<int> at_once = 0;
    std::atomic<int> most = 0;
    const auto count = [&](http_peer::caller& c) {
        while (!c.read_request().empty()) {
            const int now = ++at_once;
            for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {}
            --at_once;
            c.write(answer("ok"));
        }
    };
    linked_as<T> l(count, [](http::single_use_client_options& o) { o.max_total = 2; });
    http_peer other(count);
    int ended = 0;
    for (int i = 0; i != 20; ++i)
        asio::co_spawn(*l.context, l.client->get(i % 2 == 0 ? "/" : other.url()),
                       [&](const std::exception_ptr& e, response r) {
                           CHECK(e == nullptr);
                           CHECK(r.body == "ok");
                           ++ended;
                       });
    run_until(*l.context, [&] { return ended == 20; });
    CHECK(most <= 2);
    l.client.reset();
}

TEST_CASE_TEMPLATE("http contract: base URL, default fields, and a secret for each request", T,
                   CLIENTS)
{
    linked_as<T> l(
        [](http_peer::caller& c) {
            for (auto text = c.read_request(); !text.empty(); text = c.read_request())
                c.write(answer(text));
        },
        [asked = std::make_shared<int>(0)](http::single_use_client_options& o) {
            o.base_url += "/api/v1/";
            o.headers = {{"X-Key", "k"}};
            o.authorization = [asked](const http::origin& to) -> asio::awaitable<std::string> {
                CHECK(to.host == "127.0.0.1");
                co_return "Bearer " + std::to_string(++*asked);
            };
        });
    const auto first = l.get("/points?x=1").answer.body;
    CHECK(first.starts_with("GET /api/v1/points?x=1 HTTP/1.1\r\n"));
    CHECK(first.find("\r\nX-Key: k\r\nAuthorization: Bearer 1\r\n") != std::string::npos);
    CHECK(l.get("points").answer.body.starts_with("GET /api/v1/points HTTP/1.1\r\n"));
    CHECK(l.get("").answer.body.starts_with("GET /api/v1/ HTTP/1.1\r\n"));
    CHECK(
        l.get("/x?u=http://y/").answer.body.starts_with("GET /api/v1/x?u=http://y/ HTTP/1.1\r\n"));
    request mine("GET", "/");
    mine.headers.add("authorization", "Basic x");
    const auto own = l.send(std::move(mine)).answer.body;
    CHECK(own.find("authorization: Basic x") != std::string::npos);
    CHECK(own.find("Bearer") == std::string::npos);
}

TEST_CASE_TEMPLATE(
    "http contract: a closed client refuses, and closing waits for what is under way", T, CLIENTS)
{
    linked_as<T> l(http_peer::always(answer("ok")));
    CHECK(l.get("/").answer.body == "ok");
    run_on(*l.context, l.client->async_close(10s));
    CHECK(l.client->stats().idle == 0);
    CHECK(l.get("/").ec == loopsafe::errc::pool_closed);
    CHECK(l.get("http://127.0.0.1:1/").ec == loopsafe::errc::pool_closed);
    l.client->close();
    CHECK(l.peer.connections() == 1);
}

TEST_CASE_TEMPLATE("http contract: closing that takes too long says who is still at it", T, CLIENTS)
{
    bool asked = false;
    std::latch go_on{1};
    linked_as<T>* linked = nullptr;
    linked_as<T> l([&](http_peer::caller& c) {
        const auto text = c.read_request();
        asio::post(*linked->context, [&] { asked = true; });
        go_on.wait();
        c.write(answer("ok"));
    });
    linked = &l;
    std::optional<seen> answered;
    asio::co_spawn(*l.context, watch(l.client->get("/")),
                   [&](const std::exception_ptr&, seen s) { answered = std::move(s); });
    run_until(*l.context, [&] { return asked; });
    std::vector<error_code> codes;
    for (const auto limit : {std::chrono::milliseconds(0), std::chrono::milliseconds(-1),
                             std::chrono::milliseconds::min()}) {
        try {
            run_on(*l.context, l.client->async_close(limit));
        } catch (const loopsafe::pool_error& late) {
            codes.push_back(late.code());
            CHECK(late.report().holders.size() == 1);
        }
    }
    CHECK(codes == std::vector<error_code>(3, loopsafe::errc::close_timeout));
    go_on.count_down();
    run_on(*l.context, l.client->async_close(loopsafe::never));
    CHECK(answered->answer.body == "ok");
}

TEST_CASE_TEMPLATE("http contract: a context that dies takes its request along, and nothing else",
                   T, CLIENTS)
{
    const auto before = open_descriptors();
    {
        linked_as<T> l([](http_peer::caller& c) {
            c.read_request();
            c.peer().note("asked");
            c.await_end();
        });
        {
            asio::io_context dies;
            auto client = !has_home(T::what) ? nullptr : make_client(T::what, dies, [&] {
                http::single_use_client_options with;
                with.base_url = l.peer.url("");
                if (T::secure)
                    with.tls.trusted_file = l.peer.root_file();
                return with;
            }());
            auto& used = client ? *client : *l.client;
            asio::co_spawn(dies, used.get("/"), [](const std::exception_ptr&, response) {
                FAIL("the handler belongs to a dead context");
            });
            std::thread waits([&] {
                l.peer.await_note("asked");
                dies.stop();
            });
            dies.run();
            waits.join();
        }
        l.client->close();
        l.peer.await_ended(1);
    }
    if (!is_offloaded(T::what)) // a worker lets go of its own when it comes to it
        CHECK(open_descriptors() == before);
}
