// SPDX-License-Identifier: BSL-1.0
// When a request is sent a second time: every way in which a connection breaks, after every amount
// of evidence, for every kind of request. What the server has received must agree.

#include <atomic>
#include <http/support.hpp>
#include <sstream>

namespace replay_tests {

namespace {

using namespace http_test;

enum class evidence { unsent, unanswered, answered };
enum class kind { idempotent, not_idempotent, said_to_be_safe };
enum class breaks { end_of_stream, reset, broken_pipe, timeout, cancel };

constexpr const char* text(evidence e)
{
    return e == evidence::unsent ? "unsent" : e == evidence::unanswered ? "unanswered" : "answered";
}
constexpr const char* text(kind k)
{
    return k == kind::idempotent       ? "idempotent"
           : k == kind::not_idempotent ? "not idempotent"
                                       : "replay::safe";
}
constexpr const char* text(breaks b)
{
    switch (b) {
    case breaks::end_of_stream: return "end of stream";
    case breaks::reset: return "reset";
    case breaks::broken_pipe: return "broken pipe";
    case breaks::timeout: return "timeout";
    case breaks::cancel: return "cancel";
    }
    return "";
}

struct row {
    evidence seen;
    kind what;
    bool reused;
    breaks how;
};

// A write after the peer has said that it will send no more still succeeds; and a request of which
// nothing was sent has not begun, so that it can neither time out nor be cancelled on its
// connection. A new connection does not break before it is used.
bool can_be(const row& r)
{
    if (r.seen == evidence::unsent)
        return r.reused && (r.how == breaks::reset || r.how == breaks::broken_pipe);
    return true;
}

// Research and RFC 9110, 9.2.2. What was not sent at all goes out on another connection, and is not
// sent again.
bool must_replay(const row& r)
{
    return r.reused && r.how != breaks::timeout && r.how != breaks::cancel &&
           r.seen == evidence::unanswered && r.what != kind::not_idempotent;
}

bool must_succeed(const row& r)
{
    return must_replay(r) || r.seen == evidence::unsent;
}

// The first end of a pair of FIN and RST: what is written from then on is refused.
void break_pipe(http_peer::caller& c)
{
    c.close();
    c.reset();
}

class broken {
public:
    broken(const row& r, combination what, bool secure)
        : row_(r),
          linked_(
              what, secure, [this](http_peer::caller& c) { serve(c); },
              [this](http::single_use_client_options& o) {
                  o.on_event = [this](const http::event& e) {
                      if (e.what == http::event::kind::first_byte)
                          linked_.peer.note("read " + std::to_string(++responses_));
                  };
              })
    {
        if (r.reused)
            CHECK(linked_.get("/first").answer.body == "first");
        if (r.seen == evidence::unsent)
            linked_.peer.await_note("gone");
    }

    seen send()
    {
        const bool large = row_.how == breaks::broken_pipe;
        request r(row_.what == kind::idempotent ? "PUT" : "POST", "/second",
                  large ? std::string(20'000'000, 'x') : "body");
        if (row_.what == kind::said_to_be_safe)
            r.replay = http::replay::safe;
        if (row_.how == breaks::timeout) {
            r.timeouts.emplace();
            r.timeouts->first_byte = r.timeouts->gap = 20ms;
        }
        return row_.how == breaks::cancel ? linked_.send_and_cancel(std::move(r), "asked")
                                          : linked_.send(std::move(r));
    }

    // How often the server has begun to read it.
    int received()
    {
        linked_.client->close();
        int times = 0;
        for (const auto& each : linked_.peer.notes())
            times += each == "received" ? 1 : 0;
        return times;
    }
    int connections() { return linked_.peer.connections(); }
    loopsafe::pool_stats stats() { return linked_.client->stats(); }

private:
    void serve(http_peer::caller& c)
    {
        if (c.number() == 0) {
            if (row_.reused) {
                c.read_request();
                c.write(answer("first"));
                if (row_.seen == evidence::unsent) {
                    row_.how == breaks::reset ? c.reset() : break_pipe(c);
                    linked_.peer.note("gone");
                    return;
                }
            }
            go_wrong(c);
            return;
        }
        for (auto got = c.read_request(); !got.empty(); got = c.read_request()) {
            linked_.peer.note("received");
            c.write(answer("again"));
        }
    }

    void go_wrong(http_peer::caller& c)
    {
        const auto got =
            row_.how == breaks::broken_pipe ? c.read_until("\r\n\r\n") : c.read_request();
        if (got.empty())
            return;
        linked_.peer.note("received");
        if (row_.seen == evidence::answered)
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome");
        linked_.peer.note("asked");
        switch (row_.how) {
        case breaks::end_of_stream:
            c.close();
            c.await_end();
            return;
        case breaks::reset:
            if (row_.seen == evidence::answered)
                linked_.peer.await_note(
                    row_.reused ? "read 2" : "read 1"); // or the reset takes back what was said
            c.reset();
            return;
        case breaks::broken_pipe: break_pipe(c); return;
        case breaks::timeout:
        case breaks::cancel: c.await_end(); return;
        }
    }

    const row row_;
    std::atomic<int> responses_ = 0;
    linked linked_;
};

} // namespace

TEST_CASE("http replay: a request is sent again exactly when that does no harm")
{
    std::ostringstream table;
    int rows = 0;
    for (const auto what : {combination::keep_alive_on_context, combination::keep_alive_offloaded})
        for (const bool secure : {false, true})
            for (const auto e : {evidence::unsent, evidence::unanswered, evidence::answered})
                for (const auto k : {kind::idempotent, kind::not_idempotent, kind::said_to_be_safe})
                    for (const bool reused : {false, true})
                        for (const auto how :
                             {breaks::end_of_stream, breaks::reset, breaks::broken_pipe,
                              breaks::timeout, breaks::cancel}) {
                            const row r{e, k, reused, how};
                            if (!can_be(r))
                                continue;
                            const std::string name =
                                std::string(name_of(what)) + (secure ? ", TLS, " : ", plain, ") +
                                text(e) + ", " + text(k) + (reused ? ", reused, " : ", fresh, ") +
                                text(how);
                            CAPTURE(name);
                            broken b(r, what, secure);
                            const auto s = b.send();
                            CAPTURE(s.ec);
                            const bool replayed = s.evidence.replayed;
                            CHECK(replayed == must_replay(r));
                            CHECK(s.ec.failed() != must_succeed(r));
                            if (must_succeed(r))
                                CHECK(s.answer.body == "again");
                            CHECK(b.stats().leased == 0);
                            const int begun = e == evidence::unsent ? 0 : 1;
                            const int received = b.received();
                            CHECK(received == begun + (must_succeed(r) ? 1 : 0));
                            CHECK(b.connections() == 1 + (must_succeed(r) ? 1 : 0));
                            table << name << ": expected " << (must_replay(r) ? "again" : "once")
                                  << ", seen " << (replayed ? "again" : "once") << ", received "
                                  << received << '\n';
                            ++rows;
                        }
    MESSAGE(table.str());
    CHECK(rows == 4 * (3 * 2 + 2 * 3 * 2 * 5));
}

TEST_CASE("http replay: never is never, and an Idempotency-Key is a promise")
{
    for (const bool never : {true, false}) {
        std::optional<linked> l;
        l.emplace(combination::keep_alive_on_context, false, [](http_peer::caller& c) {
            c.read_request();
            c.write(answer("first"));
            if (c.number() == 0) {
                c.read_request();
                return; // it closes without a word
            }
            c.await_end();
        });
        CHECK(l->get("/").ec == error_code());
        request r(never ? "GET" : "POST", "/");
        if (never)
            r.replay = http::replay::never;
        else
            r.headers.add("Idempotency-Key", "\"8e03978e\"");
        const auto s = l->send(std::move(r));
        CHECK(s.ec == (never ? make_error_code(errc::no_response) : error_code()));
        CHECK(l->peer.connections() == (never ? 1 : 2));
    }
}

TEST_CASE("http replay: once, and a body that cannot be made again not at all")
{
    linked l(combination::keep_alive_on_context, false, [](http_peer::caller& c) {
        if (c.number() == 0) {
            c.read_request();
            c.write(answer("first"));
        }
        c.read_request(); // and goes
    });
    CHECK(l.get("/").ec == error_code());
    const auto twice = l.get("/");
    CHECK(twice.ec == errc::no_response);
    CHECK(twice.evidence.replayed);
    CHECK(!twice.evidence.reused);
    CHECK(l.peer.connections() == 2);

    for (const bool again : {false, true}) {
        int made = 0;
        const auto make = [&made](http::body_writer& out) -> asio::awaitable<void> {
            ++made;
            co_await out.write("part");
        };
        linked other(combination::keep_alive_on_context, false, [](http_peer::caller& c) {
            c.read_request();
            c.write(answer("first"));
            if (c.number() == 0)
                c.read_request();
            else
                c.await_end();
        });
        CHECK(other.get("/").ec == error_code());
        const auto s = other.send({"PUT", "/", http::request_body::streamed(make, {}, again)});
        CHECK(s.ec == (again ? error_code() : make_error_code(errc::no_response)));
        CHECK(made == (again ? 2 : 1));
    }
}

TEST_CASE(
    "http replay: what the maker of a body throws is the caller's, and no reason to try again")
{
    int made = 0;
    linked l(combination::keep_alive_on_context, false, [](http_peer::caller& c) {
        c.read_request();
        c.write(answer("first"));
        if (c.number() == 0) {
            c.peer().await_note("made");
            c.reset();
            c.peer().note("gone");
        } else {
            c.await_end();
        }
    });
    CHECK(l.get("/").ec == error_code());
    const auto make = [&](http::body_writer& out) -> asio::awaitable<void> {
        ++made;
        l.peer.note("made");
        l.peer.await_note("gone");
        bool taken = true;
        try {
            taken = co_await out.write("part");
        } catch (const http::error&) {
            taken = false;
        }
        if (!taken)
            throw std::runtime_error("the maker gives up");
    };
    CHECK_THROWS_WITH(l.send({"PUT", "/", http::request_body::streamed(make, {}, true)}),
                      "the maker gives up");
    CHECK(made == 1);
    CHECK(l.peer.connections() == 1);
}

TEST_CASE("http replay: the connections that are as old are closed with the one that broke")
{
    linked l(combination::keep_alive_on_context, false, [](http_peer::caller& c) {
        c.read_request();
        c.write(answer("ok"));
        if (c.number() < 3) {
            c.read_request(); // and goes
            return;
        }
        for (auto text = c.read_request(); !text.empty(); text = c.read_request())
            c.write(answer("ok"));
    });
    int ended = 0;
    for (int i = 0; i != 3; ++i)
        asio::co_spawn(*l.context, l.client->get("/"), [&](const std::exception_ptr& e, response) {
            CHECK(e == nullptr);
            ++ended;
        });
    run_until(*l.context, [&] { return ended == 3; });
    CHECK(l.client->stats().idle == 3);
    const auto s = l.get("/");
    CHECK(s.answer.body == "ok");
    CHECK(s.evidence.replayed);
    CHECK(l.client->stats().idle == 1);
    CHECK(l.peer.connections() == 4);
}

TEST_CASE("http: what comes with an answer and is not part of it ends the connection (gap 6)")
{
    const std::string answers[] = {
        answer("ok") + answer("wrong"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
        "HTTP/1.1 204 No Content\r\n\r\n\r\n",
    };
    for (const auto what :
         {combination::keep_alive_on_context, combination::keep_alive_offloaded}) {
        for (const auto& first : answers) {
            CAPTURE(name_of(what));
            CAPTURE(first);
            linked l(what, false, [&](http_peer::caller& c) {
                while (!c.read_request().empty())
                    c.write(c.number() == 0 ? first : answer("right"));
            });
            CHECK_FALSE(l.get("/").ec.failed());
            CHECK(l.client->stats().idle == 0);
            CHECK(l.get("/").answer.body == "right");
            CHECK(l.peer.connections() == 2);
        }
    }
}

TEST_CASE("http: what comes late is no answer to the next request, nor does a late end break it")
{
    const std::vector<std::string> answers{
        answer("ok"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
    };
    for (const auto what :
         {combination::keep_alive_on_context, combination::keep_alive_offloaded}) {
        for (const bool secure : {false, true}) {
            for (const auto& first : answers) {
                for (const bool ends : {false, true}) {
                    CAPTURE(name_of(what));
                    CAPTURE(secure);
                    CAPTURE(first);
                    CAPTURE(ends);
                    linked l(what, secure, [&](http_peer::caller& c) {
                        auto text = c.read_request();
                        if (c.number() == 0) {
                            c.write(first);
                            c.peer().await_note("answered");
                            if (!ends)
                                c.write(answer("wrong"));
                            else
                                c.close();
                            c.peer().note("said more");
                            c.await_end();
                            return;
                        }
                        for (; !text.empty(); text = c.read_request())
                            c.write(answer("right"));
                    });
                    CHECK_FALSE(l.get("/").ec.failed());
                    CHECK(l.client->stats().idle == 1);
                    l.peer.note("answered");
                    l.peer.await_note("said more");
                    int made = 0;
                    const auto make = [&made](http::body_writer& out) -> asio::awaitable<void> {
                        ++made;
                        co_await out.write("not idempotent");
                    };
                    request r("POST", "/", http::request_body::streamed(make));
                    r.replay = http::replay::never;
                    const auto next = l.send(std::move(r));
                    CHECK_FALSE(next.ec.failed());
                    CHECK(next.answer.body == "right");
                    CHECK_FALSE(next.evidence.replayed);
                    CHECK(made == 1);
                    CHECK(l.peer.connections() == 2);
                }
            }
        }
    }
}

TEST_CASE(
    "http: what comes before a connection is first used is no answer, nor does an end break it")
{
    for (const auto what : {combination::keep_alive_on_context, combination::per_context_on_context,
                            combination::carry_over_on_context}) {
        for (const bool secure : {false, true}) {
            for (const bool ends : {false, true}) {
                CAPTURE(name_of(what));
                CAPTURE(secure);
                CAPTURE(ends);
                asio::cancellation_signal signal;
                const auto made =
                    secure ? http::event::kind::secured : http::event::kind::connected;
                linked l(
                    what, secure,
                    [&](http_peer::caller& c) {
                        if (c.number() == 0) {
                            c.peer().await_note("idle");
                            if (ends)
                                c.close();
                            else
                                c.write(
                                    "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
                            c.peer().note("said more");
                            c.await_end();
                            return;
                        }
                        while (!c.read_request().empty())
                            c.write(answer("right"));
                    },
                    [&](http::single_use_client_options& o) {
                        o.on_event = [&signal, made](const http::event& e) {
                            if (e.what == made)
                                signal.emit(asio::cancellation_type::terminal);
                        };
                    });
                bool ended = false;
                asio::co_spawn(*l.context, watch(l.client->get("/")),
                               asio::bind_cancellation_slot(
                                   signal.slot(), [&](const std::exception_ptr&, const seen& s) {
                                       CHECK(s.ec == asio::error::operation_aborted);
                                       CHECK(s.evidence.bytes_sent == 0);
                                       ended = true;
                                   }));
                run_until(*l.context, [&] { return ended; });
                CHECK(l.client->stats().idle == 1);
                l.peer.note("idle");
                l.peer.await_note("said more");
                const auto next = l.send({"POST", "/", "not idempotent"});
                CHECK_FALSE(next.ec.failed());
                CHECK(next.answer.body == "right");
                CHECK_FALSE(next.evidence.replayed);
                CHECK(l.peer.connections() == 2);
            }
        }
    }
}

} // namespace replay_tests
