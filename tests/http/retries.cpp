// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
// What is sent again, when, how often, and what never is.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/definitions.hpp> // for a policy with a clock of its own
#include <loopsafe/http/layers/on_request.hpp>
#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/http/layers/retries.hpp>
#include <loopsafe/testing/manual_clock.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <atomic>
#include <chrono>
#include <http/layered.hpp>
#include <http/support.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace retries_tests {

namespace {

using namespace http_test;
using namespace std::chrono_literals;
using loopsafe::testing::manual_clock;
using timed_client =
    http::basic_client<loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, manual_clock>>;

std::string status(int which, const std::string& more = {})
{
    return "HTTP/1.1 " + std::to_string(which) + " Whatever\r\n" + more +
           "Content-Length: 0\r\n\r\n";
}

// Pauses of nothing, so that a test waits for none.
http::retry_options at_once(int attempts = 3)
{
    http::retry_options with;
    with.attempts = attempts;
    with.first_pause = with.longest_pause = 0ms;
    return with;
}

// Answers with each of these in turn, and then with the request; an empty one breaks the
// connection.
class changeable {
public:
    explicit changeable(std::vector<std::string> answers)
        : answers_(std::move(answers)), peer([this](http_peer::caller& c) { serve(c); })
    {
    }

    void serve(http_peer::caller& c)
    {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            peer.note(text);
            const auto i = asked_++;
            if (i >= answers_.size())
                c.write(answer(text));
            else if (answers_[i].empty())
                return c.reset();
            else
                c.write(answers_[i]);
        }
    }
    int asked() const { return static_cast<int>(asked_); }

private:
    const std::vector<std::string> answers_;
    std::atomic<std::size_t> asked_{0};

public:
    http_peer peer;
};

struct asking : layered_client {
    explicit asking(http::retry_options with, http::client_options options = {})
        : layered_client(http::retries(std::move(with)), std::move(options))
    {
    }
};

request with_key(request r)
{
    r.headers.set("Idempotency-Key", "1");
    return r;
}
request safe(request r)
{
    r.replay = http::replay::safe;
    return r;
}
request never(request r)
{
    r.replay = http::replay::never;
    return r;
}

TEST_CASE("retries: a status that says so is worth another attempt, where that does no harm")
{
    struct row {
        request asked;
        int status;
        int attempts;
    };
    std::vector<row> all;
    for (const int each : {408, 425, 429, 502, 503, 504}) {
        for (const auto* method : {"GET", "PUT", "DELETE", "OPTIONS"})
            all.push_back({{method, "/"}, each, 3});
        all.push_back({{"POST", "/", "x"}, each, 1});
        all.push_back({{"PATCH", "/", "x"}, each, 1});
        all.push_back({with_key({"POST", "/", "x"}), each, 3});
        all.push_back({safe({"POST", "/", "x"}), each, 3});
        all.push_back({never({"GET", "/"}), each, 1});
    }
    for (const int each : {200, 301, 400, 401, 403, 404, 500, 501, 505})
        all.push_back({{"GET", "/"}, each, 1});
    for (const auto& each : all) {
        CAPTURE(each.asked.method);
        CAPTURE(each.status);
        for (const bool streamed : {false, true}) {
            changeable s({status(each.status), status(each.status)});
            asking a(at_once());
            auto r = each.asked;
            r.url = s.peer.url();
            const auto got = streamed ? a.read(r) : a.send(r);
            REQUIRE_FALSE(got.error);
            CHECK(s.asked() == each.attempts);
            CHECK(got.answer.status == (each.attempts == 3 ? 200 : each.status));
            CHECK(got.evidence.attempts == each.attempts);
            if (each.attempts == 3)
                CHECK(got.answer.body == s.peer.notes().front());
            CHECK(s.peer.connections() == 1);
        }
    }
}

TEST_CASE("retries: the last response is the result when the attempts are used up")
{
    changeable s({status(503), status(503), status(503, "X-Last: 1\r\n")});
    asking a(at_once());
    const auto got = a.send({"GET", s.peer.url()});
    CHECK(got.answer.status == 503);
    CHECK(got.answer.headers["x-last"] == "1");
    CHECK(got.evidence.attempts == 3);
    CHECK(s.asked() == 3);
}

TEST_CASE("retries: a connection that is lost is worth another attempt, where that does no harm")
{
    for (const bool streamed : {false, true}) {
        const auto attempts = [&](request r, std::vector<std::string> answers) {
            changeable s(std::move(answers));
            asking a(at_once());
            r.url = s.peer.url();
            const auto got = streamed ? a.read(r) : a.send(r);
            CHECK((got.error != nullptr) == (s.asked() == 1));
            if (got.error == nullptr)
                CHECK(got.evidence.attempts == s.asked());
            return s.asked();
        };
        CHECK(attempts({"GET", ""}, {"", ""}) == 3);
        CHECK(attempts({"PUT", "", "x"}, {""}) == 2);
        CHECK(attempts({"POST", "", "x"}, {""}) == 1);
        CHECK(attempts(with_key({"POST", "", "x"}), {""}) == 2);
        CHECK(attempts(never({"GET", ""}), {""}) == 1);
        CHECK(attempts({"GET", ""}, {"HTTP/1.1 nonsense\r\n\r\n"}) == 1);
    }
}

TEST_CASE("retries: a request that was not sent may be sent again, whatever it is")
{
    const auto port = [] {
        http_peer gone(http_peer::always(""));
        return gone.url();
    }();
    asking a(at_once());
    for (const auto& r : {request("POST", port, "x"), request("GET", port)}) {
        for (const auto& got : {a.send(r), a.read(r)}) {
            CHECK(got.ec == asio::error::connection_refused);
            CHECK(got.evidence.attempts == 3);
            CHECK(text_of(got.error).find("\n  tried: 3 times") != std::string::npos);
        }
    }
    CHECK(a.send(never({"GET", port})).evidence.attempts == 1);
}

TEST_CASE("retries: a certificate that is not trusted stays so")
{
    http_peer secure(http_peer::always(answer("ok")), true);
    asking a(at_once());
    const auto got = a.send({"GET", secure.url()});
    CHECK(got.error != nullptr);
    CHECK(got.evidence.stage == stage::tls);
    CHECK(got.evidence.attempts == 1);
}

TEST_CASE("retries: what the caller did wrong, and a refused context, are final")
{
    asking a(at_once());
    CHECK(a.send({"GET", "ftp://host/"}).evidence.attempts == 1);
    CHECK(a.send({"GE T", "http://host/"}).ec == errc::bad_method);
    mortal_context other;
    CHECK(run_on(*other, watch(a.api.get("http://127.0.0.1:1/"))).ec ==
          loopsafe::errc::wrong_context);
    a.api.close();
    CHECK(a.send({"GET", "http://127.0.0.1:1/"}).ec == loopsafe::errc::pool_closed);
}

TEST_CASE("retries: once the response is being read, nothing is sent again")
{
    changeable s({});
    http_peer cut([](http_peer::caller& c) {
        c.read_request();
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        c.close();
    });
    asking a(at_once());
    CHECK(a.read({"GET", cut.url()}).ec == errc::incomplete);
    CHECK(cut.connections() == 1);
    CHECK(a.send({"GET", cut.url()}).ec == errc::incomplete);
    CHECK(cut.connections() == 4); // nobody has seen any of it
    int calls = 0;
    const auto throws = [&](http::incoming_response&) -> asio::awaitable<void> {
        ++calls;
        throw http::error(errc::no_response, {}, "of its own");
        co_return;
    };
    CHECK_THROWS_AS(run_on(*a.context, a.api.with_response({"GET", s.peer.url()}, throws)),
                    http::error);
    CHECK(calls == 1);
}

TEST_CASE("retries: a body that is made is made again only if it may be")
{
    for (const bool again : {false, true}) {
        changeable s({status(503)});
        asking a(at_once());
        int made = 0;
        const auto make = [&](http::body_writer& w) -> asio::awaitable<void> {
            ++made;
            co_await w.write("payload");
        };
        const auto got =
            a.send({"PUT", s.peer.url(), http::request_body::streamed(make, 7, again)});
        CHECK(got.answer.status == (again ? 200 : 503));
        CHECK(made == (again ? 2 : 1));
    }
}

TEST_CASE("retries: what a layer further in changes does not pile up")
{
    changeable s({status(503), status(503)});
    mortal_context context;
    const auto api = http::client(*context) |
                     http::on_request([](request& r) { r.headers.add("X-Once", "1"); }) |
                     http::retries(at_once());
    const auto text = run_on(*context, api.get(s.peer.url())).body;
    CHECK(s.asked() == 3);
    CHECK(text.find("X-Once") == text.rfind("X-Once"));
}

TEST_CASE("retries: each hop of a redirect has attempts of its own")
{
    changeable s({status(503), status(302, "Location: /next\r\n"), status(503), status(503)});
    mortal_context context;
    const auto api = http::client(*context) | http::retries(at_once()) | http::redirects();
    const auto got = run_on(*context, api.get(s.peer.url()));
    CHECK(got.status == 200);
    CHECK(got.seen.attempts == 3);
    CHECK(got.seen.hops == 1);
    CHECK(s.asked() == 5);
}

// Runs a request on the manual clock, which moves by `step` whenever nothing else happens.
struct timed {
    explicit timed(http::retry_options with, http::client_options options = {})
        : api(timed_client(*context, std::move(options)) | http::retries(std::move(with)))
    {
        manual_clock::reset();
    }

    void begin(request what)
    {
        asio::co_spawn(
            *context, watch(api.send(std::move(what))),
            asio::bind_cancellation_slot(
                signal.slot(), [this](const std::exception_ptr&, seen s) { got = std::move(s); }));
    }
    // Until the peer was asked so often and answered, and the request pauses.
    void run_into_pause(const changeable& s, int asked)
    {
        run_until(*context, [&] { return s.asked() == asked && api.stats().idle == 1; });
        run_ready(*context);
    }
    void advance(std::chrono::nanoseconds by)
    {
        manual_clock::advance(*context, by);
        context->restart();
        run_ready(*context);
    }

    mortal_context context;
    http::any_sender api;
    asio::cancellation_signal signal;
    std::optional<seen> got;
};

TEST_CASE("retries: a pause is as long as the server says, and at least that long")
{
    changeable s({status(503, "Retry-After: 1\r\n")});
    http::retry_options with;
    with.first_pause = with.longest_pause = 100ms;
    timed t(with);
    t.begin({"GET", s.peer.url()});
    t.run_into_pause(s, 1);
    t.advance(1s - 1ns);
    CHECK(s.asked() == 1);
    CHECK(t.api.stats().leased == 0); // nobody waits with a connection in his hand
    t.advance(100ms + 1ns);
    run_until(*t.context, [&] { return t.got.has_value(); });
    CHECK(t.got->answer.status == 200);
    CHECK(s.asked() == 2);
}

TEST_CASE("retries: who is told to come back too late, or after his deadline, does not wait")
{
    const auto attempts = [](const std::string& fields, std::chrono::milliseconds total) {
        changeable s({status(503, fields)});
        http::client_options options;
        options.timeouts.total = total;
        timed t({}, options);
        t.begin({"GET", s.peer.url()});
        run_until(*t.context, [&] { return t.got.has_value(); });
        CHECK(t.got->answer.status == 503);
        return s.asked();
    };
    CHECK(attempts("Retry-After: 31\r\n", loopsafe::never) == 1);
    CHECK(attempts("Retry-After: 120\r\n", loopsafe::never) == 1);
    CHECK(attempts("Retry-After: 99999999999999999999\r\n", loopsafe::never) == 1);
    CHECK(attempts("Retry-After: 2\r\n", 1s) == 1);
    CHECK(attempts("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                   "Retry-After: Sun, 06 Nov 1994 08:51:37 GMT\r\n",
                   loopsafe::never) == 1);
}

TEST_CASE("retries: what a Retry-After may say")
{
    using http::detail::retry_after;
    const auto said = [](const std::string& text, const std::string& date = {}) {
        http::fields all;
        all.add("Retry-After", text);
        if (!date.empty())
            all.add("Date", date);
        return retry_after(all);
    };
    const std::string then = "Sun, 06 Nov 1994 08:49:37 GMT";
    CHECK(said("0") == 0s);
    CHECK(said("30") == 30s);
    CHECK(said("00030") == 30s);
    CHECK(said("99999999999999999999") >= 24h);
    CHECK(said("Sun, 06 Nov 1994 08:49:57 GMT", then) == 20s);
    CHECK(said("Mon, 07 Nov 1994 08:49:37 GMT", then) == 24h);
    CHECK(said("Sun, 06 Nov 1994 08:49:17 GMT", then) == 0s); // over by now
    CHECK(said(then) == 0s);
    for (const std::string bad :
         {"-1", "+1", "1.5", "1s", "0x10", "soon", "Sun, 06 Nov 1994 08:49:37", "",
          "Sun, 06 Xxx 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
          "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 0a:49:37 GMT",
          "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
        CAPTURE(bad);
        CHECK_FALSE(said(bad, then).has_value());
    }
}

TEST_CASE("retries: random pauses stay below a limit that doubles")
{
    changeable s(std::vector<std::string>(5, status(503)));
    http::retry_options with;
    with.attempts = 6;
    with.first_pause = 100ms;
    with.longest_pause = 300ms;
    timed t(with);
    t.begin({"GET", s.peer.url()});
    int asked = 1;
    for (const auto most : {100ms, 200ms, 300ms, 300ms, 300ms}) {
        t.run_into_pause(s, asked++);
        t.advance(most);
    }
    run_until(*t.context, [&] { return t.got.has_value(); });
    CHECK(t.got->answer.status == 200);
    CHECK(s.asked() == 6);
}

TEST_CASE("retries: a request that is cancelled while it pauses is not sent again")
{
    changeable s({status(503, "Retry-After: 10\r\n")});
    timed t({});
    t.begin({"GET", s.peer.url()});
    t.run_into_pause(s, 1);
    t.signal.emit(asio::cancellation_type::terminal);
    run_until(*t.context, [&] { return t.got.has_value(); });
    CHECK(t.got->ec == asio::error::operation_aborted);
    CHECK(t.got->evidence.attempts == 1);
    CHECK(s.asked() == 1);
    CHECK(run_on(*t.context, t.api.get(s.peer.url())).status == 200);
}

TEST_CASE("retries: a context that ends while a request pauses takes it along")
{
    changeable s({status(503, "Retry-After: 10\r\n")});
    const auto kept = std::make_shared<int>(0);
    {
        timed t({});
        const auto sends = [&]() -> asio::awaitable<void> {
            const auto held = kept;
            co_await t.api.get(s.peer.url());
        };
        asio::co_spawn(*t.context, sends, [](const std::exception_ptr&) { FAIL("it ended"); });
        t.run_into_pause(s, 1);
        t.context.die();
        CHECK(kept.use_count() == 1);
    }
    CHECK(s.asked() == 1);
}

TEST_CASE("retries: while a server fails, few attempts are added, and with success they come back")
{
    changeable s(std::vector<std::string>(1'033, status(503)));
    asking a(at_once());
    for (int i = 0; i != 1'000; ++i)
        CHECK(a.send({"GET", s.peer.url()}).answer.status == 503);
    CHECK(s.asked() == 1'033);
    changeable other({status(503)}); // has a budget of its own, as a rule
    for (int i = 0; i != 600; ++i)
        a.send({"GET", s.peer.url()});
    CHECK(s.asked() == 1'633);
}

TEST_CASE("retries: a query is no part of an origin, which has one budget")
{
    changeable s(std::vector<std::string>(1'000, status(503)));
    asking a(at_once(2));
    for (int i = 0; i != 100; ++i)
        a.send({"GET", s.peer.url("") + "?q=" + std::to_string(i)});
    CHECK(s.asked() < 200);
}

// Fails once, when the response has been taken.
class fails_late final : public http::layer {
    std::string_view name() const noexcept override { return "fails_late"; }
    asio::awaitable<void> lend(http::exchange& x, http::next inner) const override
    {
        co_await inner.lend(x);
        if (!std::exchange(failed_, true))
            throw http::error(errc::no_response, {.stage = stage::first_byte}, "late");
    }
    mutable bool failed_ = false;
};

TEST_CASE("retries: a failure behind a status that is worth another attempt counts once")
{
    changeable s({status(503)});
    mortal_context context;
    const auto api =
        http::client(*context) | std::make_shared<fails_late>() | http::retries(at_once());
    int reads = 0;
    const auto reader = [&](http::incoming_response&) -> asio::awaitable<void> {
        ++reads;
        co_return;
    };
    run_on(*context, api.with_response({"GET", s.peer.url()}, reader));
    CHECK(reads == 1);
    CHECK(s.asked() == 2);
}

TEST_CASE("retries: options that make no sense are refused")
{
    CHECK_THROWS_WITH_AS(http::retries(0), doctest::Contains("attempts must be at least 1"),
                         boost::system::system_error);
    http::retry_options with;
    with.first_pause = -1ms;
    CHECK_THROWS_WITH_AS(http::retries(with), doctest::Contains("first_pause must be from 0"),
                         boost::system::system_error);
    with = {};
    with.longest_retry_after = std::chrono::hours(25);
    CHECK_THROWS_WITH_AS(http::retries(with), doctest::Contains("longest_retry_after must be"),
                         boost::system::system_error);
}

} // namespace

} // namespace retries_tests
