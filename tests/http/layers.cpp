// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
// What holds for every layer: order, homes, lifetimes, deadlines, cancellation. One combination of
// the contract, and of all that is done to a client, has layers around it.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/definitions.hpp> // for a policy with a clock of its own
#include <loopsafe/http/layers/check_status.hpp>
#include <loopsafe/http/layers/on_request.hpp>
#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/http/layers/retries.hpp>
#include <loopsafe/testing/manual_clock.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <http/support.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace layers_tests {

namespace {

using namespace http_test;
using loopsafe::context_error;
using loopsafe::testing::two_contexts;

// Notes when requests pass it, in both directions.
class noting final : public http::layer {
public:
    noting(std::string name, std::vector<std::string>& notes, http::place where = http::place::own)
        : name_(std::move(name)), notes_(notes), place_(where)
    {
    }
    std::string_view name() const noexcept override { return name_; }
    http::place place() const noexcept override { return place_; }
    asio::awaitable<void> lend(http::exchange& x, http::next inner) const override
    {
        notes_.push_back(name_ + " " + x.asked.method);
        co_await inner.lend(x);
        notes_.push_back(name_ + " done");
    }

private:
    std::string name_;
    std::vector<std::string>& notes_;
    http::place place_;
};

// Answers by itself: what is below is never asked.
class answering final : public http::layer {
public:
    std::string_view name() const noexcept override { return "answering"; }
    asio::awaitable<void> lend(http::exchange&, http::next) const override
    {
        throw std::logic_error("it answers whole requests only");
        co_return;
    }
    asio::awaitable<response> send(http::exchange& x, http::next) const override
    {
        response made;
        made.status = 299;
        made.body = x.asked.url;
        co_return made;
    }
};

struct counts_end {
    int& ends;
    ~counts_end() { ++ends; }
};

error_code watched_code(asio::io_context& context, asio::awaitable<response> sending)
{
    return run_on(context, watch(std::move(sending))).ec;
}

std::string message_of(const std::function<void()>& fn)
{
    try {
        fn();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}

TEST_CASE("layers: a request passes them from the outermost to the client, and back")
{
    http_peer peer(http_peer::always(answer("body")));
    mortal_context context;
    std::vector<std::string> notes;
    const auto api = http::client(*context) | std::make_shared<noting>("inner", notes) |
                     std::make_shared<noting>("outer", notes);
    CHECK(run_on(*context, api.get(peer.url())).body == "body");
    const std::vector<std::string> wanted{"outer GET", "inner GET", "inner done", "outer done"};
    CHECK(notes == wanted);
    notes.clear();
    const auto size = [](http::incoming_response& r) -> asio::awaitable<std::size_t> {
        const auto all = co_await r.read_all(100);
        co_return all.size();
    };
    CHECK(run_on(*context, api.with_response({"GET", peer.url()}, size)) == 4);
    CHECK(notes == wanted);
}

TEST_CASE("layers: one that answers by itself needs no server")
{
    mortal_context context;
    const auto api = http::client(*context) | std::make_shared<answering>();
    const auto got = run_on(*context, api.get("http://nowhere.invalid/x"));
    CHECK(got.status == 299);
    CHECK(got.body == "http://nowhere.invalid/x");
}

// Sends a request that has failed again, to another path.
class again final : public http::layer {
public:
    std::string_view name() const noexcept override { return "again"; }
    http::place place() const noexcept override { return http::place::anywhere; }
    asio::awaitable<void> lend(http::exchange& x, http::next inner) const override
    {
        const auto kept = x.asked;
        bool failed = false;
        try {
            co_await inner.lend(x);
        } catch (const http::error&) {
            failed = true;
        }
        if (!failed)
            co_return;
        x.asked = kept;
        x.asked.url += "second";
        co_await inner.lend(x);
    }
};

// Does not put back whom the response is lent to.
class careless final : public http::layer {
public:
    std::string_view name() const noexcept override { return "careless"; }
    asio::awaitable<void> lend(http::exchange& x, http::next inner) const override
    {
        class own final : public http::recipient {
        public:
            explicit own(http::exchange& x) : outer_(std::exchange(x.to, this)), x_(x) {}
            ~own() { x_.to = nullptr; }
            asio::awaitable<void> take(http::incoming_response& from) override
            {
                return outer_->take(from);
            }

        private:
            http::recipient* outer_;
            http::exchange& x_;
        };
        const own to(x);
        co_await inner.lend(x);
    }
};

asio::awaitable<std::string> read_whole(http::incoming_response& from)
{
    return from.read_all(1000);
}

// Breaks the connection, or leads elsewhere, but for the second path.
http_peer::script only_second(std::string otherwise = {})
{
    return [otherwise = std::move(otherwise)](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            if (text.starts_with("GET /second"))
                c.write(answer(text));
            else if (otherwise.empty())
                return c.reset();
            else
                c.write(otherwise);
        }
    };
}

TEST_CASE("layers: a request that failed in one may be sent again from outside of it")
{
    http_peer peer(only_second());
    const std::shared_ptr<const http::layer> all[] = {http::retries(1), http::redirects(),
                                                      http::check_status()};
    for (const auto& each : all) {
        CAPTURE(each->name());
        mortal_context context;
        const auto api = http::client(*context) | each | std::make_shared<again>();
        const auto got = run_on(*context, api.with_response({"GET", peer.url()}, read_whole));
        CHECK(got.starts_with("GET /second"));
    }
}

TEST_CASE("layers: what one leaves behind in a request is not used by the next attempt")
{
    int asked = 0;
    http_peer peer([&](http_peer::caller& c) {
        c.read_request();
        if (asked++ == 0)
            return c.reset();
        c.write(answer("body"));
    });
    http::retry_options with;
    with.first_pause = std::chrono::milliseconds(0);
    mortal_context context;
    const auto api = http::client(*context) | std::make_shared<careless>() | http::retries(with);
    CHECK(run_on(*context, api.with_response({"GET", peer.url()}, read_whole)) == "body");
}

TEST_CASE("layers: a request that is sent again from outside of redirects is not foreign any more")
{
    http_peer peer(only_second("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ftp://h/"
                               "\r\n\r\n"));
    http_peer elsewhere(only_second(
        "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + peer.url() + "\r\n\r\n"));
    mortal_context context;
    const auto api = http::client(*context) |
                     http::on_request([](request& r) { r.headers.set("X-Key", "k"); }) |
                     http::redirects() | std::make_shared<again>();
    const auto got = run_on(*context, api.with_response({"GET", elsewhere.url()}, read_whole));
    CHECK(got.find("X-Key: k") != std::string::npos);
}

// Does with a request what it should not.
class unruly final : public http::layer {
public:
    explicit unruly(int times) : times_(times) {}
    std::string_view name() const noexcept override { return "unruly"; }
    asio::awaitable<void> lend(http::exchange& x, http::next inner) const override
    {
        const auto kept = x.asked;
        for (int i = 0; i != times_; ++i) {
            x.asked = kept;
            co_await inner.lend(x);
        }
    }

private:
    int times_;
};

TEST_CASE("layers: one that lends nothing, or a second response, makes the request fail")
{
    http_peer peer(http_peer::always(answer("body")));
    mortal_context context;
    const auto none = http::client(*context) | std::make_shared<unruly>(0);
    CHECK(watched_code(*context, none.get(peer.url())) == errc::bad_layer);
    CHECK_THROWS_WITH_AS(
        run_on(*context, none.with_response({"GET", peer.url()}, read_whole)),
        doctest::Contains("a layer ended without a response, stage prepare: "
                          "http::layer::lend() must call inner.lend(x), lend to x.to, or throw"),
        http::error);
    const auto twice = http::client(*context) | std::make_shared<unruly>(2);
    int reads = 0;
    const auto reader = [&](http::incoming_response&) -> asio::awaitable<void> {
        ++reads;
        co_return;
    };
    CHECK_THROWS_WITH_AS(run_on(*context, twice.with_response({"GET", peer.url()}, reader)),
                         doctest::Contains("a layer lent a second response"), http::error);
    CHECK(reads == 1);
}

TEST_CASE("layers: a length without a body is not too large for one that lends each response")
{
    for (const int status : {200, 304}) {
        http_peer peer(http_peer::always("HTTP/1.1 " + std::to_string(status) +
                                         " Whatever\r\nContent-Length: 99999999999\r\n\r\n"));
        mortal_context context;
        const auto api = http::client(*context) | std::make_shared<careless>();
        const auto got =
            run_on(*context, watch(api.send({status == 200 ? "HEAD" : "GET", peer.url()})));
        CHECK(got.error == nullptr);
        CHECK(got.answer.status == status);
    }
}

TEST_CASE("layers: an error of a request within a request keeps its own number of attempts")
{
    http_peer peer(only_second());
    http::retry_options with;
    with.first_pause = with.longest_pause = std::chrono::milliseconds(0);
    mortal_context context;
    const auto inner = http::client(*context) | http::retries(with);
    const auto asks = [&](request&) -> asio::awaitable<void> { co_await inner.get(peer.url()); };
    const auto api = http::client(*context) | http::on_request(asks);
    const auto got = run_on(*context, watch(api.get(peer.url())));
    CHECK(got.evidence.attempts == 3);
    const auto text = text_of(got.error);
    CHECK(text.find("tried: ") == text.rfind("tried: "));
}

TEST_CASE("layers: one that is a null pointer is refused")
{
    mortal_context context;
    const http::any_sender plain{http::client(*context)};
    const std::shared_ptr<const http::layer> none;
    CHECK(message_of([&] { plain | none; }).find("the layer is a null pointer") !=
          std::string::npos);
}

TEST_CASE("layers: a chain in the wrong order is refused, and the error names both")
{
    mortal_context context;
    std::vector<std::string> notes;
    const http::any_sender plain{http::client(*context)};
    CHECK(message_of([&] { plain | http::redirects() | http::on_request([](request&) {}); })
              .starts_with("http: the layer on_request belongs inside of redirects: write client "
                           "| on_request | redirects"));
    CHECK(message_of([&] {
              plain | http::check_status() | http::redirects();
          }).starts_with("http: the layer redirects belongs inside of check_status"));
    CHECK(message_of([&] {
              plain | http::redirects() | http::redirects();
          }).starts_with("http: a chain has the layer redirects once"));
    CHECK_NOTHROW(plain | http::on_request([](request&) {}) | http::on_request([](request&) {}) |
                  http::redirects() | http::check_status());
    const auto anywhere = std::make_shared<noting>("x", notes, http::place::anywhere);
    CHECK_NOTHROW(plain | http::check_status() | anywhere | anywhere);
}

TEST_CASE("layers: a chain stays as it is when one more layer is put around it")
{
    http_peer peer(http_peer::always("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
    mortal_context context;
    const http::any_sender plain{http::client(*context)};
    const auto strict = plain | http::check_status();
    CHECK(run_on(*context, plain.get(peer.url())).status == 404);
    CHECK_THROWS_AS(run_on(*context, strict.get(peer.url())), http::status_error);
    CHECK(plain.stats().connects == 1);
}

TEST_CASE("layers: a wrong context is refused before a layer is asked, and before a byte is sent")
{
    http_peer peer(http_peer::always(answer("ok")));
    two_contexts contexts;
    std::vector<std::string> notes;
    const auto api = http::client(contexts.a) | std::make_shared<noting>("layer", notes);
    CHECK_THROWS_AS(run_on(contexts.b, api.get(peer.url())), context_error);
    const auto nothing = [](http::incoming_response&) -> asio::awaitable<void> { co_return; };
    CHECK_THROWS_AS(run_on(contexts.b, api.with_response({"GET", peer.url()}, nothing)),
                    context_error);
    CHECK_THROWS_AS(run_on(contexts.b, api.async_close(std::chrono::seconds(1))), context_error);
    CHECK(notes.empty());
    CHECK(peer.connections() == 0);
    CHECK(run_on(contexts.a, api.get(peer.url())).body == "ok");
    CHECK(api.home() == loopsafe::context_of(contexts.a.get_executor()));
}

TEST_CASE("layers: a client that is moved into a chain lives until the last request, and is closed")
{
    http_peer peer(http_peer::always(answer("ok")));
    mortal_context context;
    std::optional<http::any_sender> api(http::client(*context) | http::redirects());
    auto late = api->get(peer.url());
    const auto copy = std::make_unique<http::any_sender>(*api);
    api.reset();
    CHECK(run_on(*context, copy->get(peer.url())).body == "ok");
    CHECK(run_on(*context, std::move(late)).body == "ok");
    copy->close();
    CHECK(watched_code(*context, copy->get(peer.url())) == loopsafe::errc::pool_closed);
}

TEST_CASE("layers: a client that is shared may be destroyed first")
{
    http_peer peer(http_peer::always(answer("ok")));
    mortal_context context;
    std::optional<http::client> client(*context);
    std::optional<http::any_sender> api(*client | http::redirects());
    CHECK(run_on(*context, api->get(peer.url())).body == "ok");
    SUBCASE("the client goes first")
    {
        client.reset();
        CHECK(watched_code(*context, api->get(peer.url())) == loopsafe::errc::pool_closed);
    }
    SUBCASE("the chain goes first")
    {
        api.reset();
        CHECK(run_on(*context, client->get(peer.url())).body == "ok");
        CHECK(peer.connections() == 1);
    }
    SUBCASE("a client that was moved from is a closed one")
    {
        http::client other(std::move(*client));
        CHECK(run_on(*context, api->get(peer.url())).body == "ok");
        const auto closed = *client | http::redirects();
        CHECK(watched_code(*context, closed.get(peer.url())) == loopsafe::errc::pool_closed);
    }
}

TEST_CASE("layers: a chain serves the next context under each policy that has no home")
{
    for (const auto what : {combination::null_on_context, combination::per_context_on_context,
                            combination::carry_over_on_context, combination::layered_offloaded}) {
        CAPTURE(name_of(what));
        http_peer peer(http_peer::always(answer("ok")));
        std::unique_ptr<any_client> client;
        {
            mortal_context first;
            client = make_client(what, *first);
            CHECK(run_on(*first, client->get(peer.url())).body == "ok");
        }
        mortal_context second;
        CHECK(run_on(*second, client->get(peer.url())).body == "ok");
    }
}

TEST_CASE("layers: a relative URL is absolute for them, with the client's base URL")
{
    mortal_context context;
    http::client_options with;
    with.base_url = "http://host:81/api/";
    const auto api = http::client(*context, with) | std::make_shared<answering>();
    CHECK(run_on(*context, api.get("/x?a=b")).body == "http://host:81/api/x?a=b");
    CHECK(run_on(*context, api.get("y")).body == "http://host:81/api/y");
    CHECK(run_on(*context, api.get("http://other/z")).body == "http://other/z");
}

TEST_CASE("on_request: changes each request, waits if it must, and its error is the request's")
{
    http_peer peer([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request())
            c.write(answer(text));
    });
    mortal_context context;
    const http::any_sender plain{http::client(*context)};
    const auto at_once =
        plain | http::on_request([](request& r) { r.headers.set("X-Key", "at once"); });
    CHECK(run_on(*context, at_once.get(peer.url())).body.find("X-Key: at once\r\n") !=
          std::string::npos);
    const auto later = plain | http::on_request([](request& r) -> asio::awaitable<void> {
                           co_await asio::post(asio::use_awaitable);
                           r.headers.set("X-Key", "later");
                       });
    CHECK(run_on(*context, later.get(peer.url())).body.find("X-Key: later\r\n") !=
          std::string::npos);
    const auto fails =
        plain | http::on_request([](request&) { throw std::runtime_error("not today"); });
    CHECK_THROWS_WITH_AS(run_on(*context, fails.get(peer.url())), "not today", std::runtime_error);
    CHECK(peer.connections() == 1);
}

TEST_CASE("layers: the deadline of a request ends what a layer waits for")
{
    using loopsafe::testing::manual_clock;
    using timed_client =
        http::basic_client<loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, manual_clock>>;
    manual_clock::reset();
    mortal_context context;
    http::client_options with;
    with.timeouts.total = std::chrono::seconds(10);
    bool waits = false;
    int left = 0;
    const auto never_done = [&](request&) -> asio::awaitable<void> {
        const counts_end on_the_way_out{left};
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        waits = true;
        co_await timer.async_wait(asio::use_awaitable);
    };
    const auto api = timed_client(*context, with) | http::on_request(never_done);
    const auto nothing = [](http::incoming_response&) -> asio::awaitable<response> {
        co_return response();
    };
    for (const bool streamed : {false, true}) {
        CAPTURE(streamed);
        waits = false;
        request what("GET", "http://127.0.0.1:1/x?secret=1");
        auto asked =
            streamed ? api.with_response(std::move(what), nothing) : api.send(std::move(what));
        std::optional<seen> got;
        asio::co_spawn(*context, watch(std::move(asked)),
                       [&](const std::exception_ptr&, seen s) { got = std::move(s); });
        run_until(*context, [&] { return waits; });
        manual_clock::advance(*context, std::chrono::seconds(10) - std::chrono::nanoseconds(1));
        run_ready(*context);
        CHECK_FALSE(got.has_value());
        manual_clock::advance(*context, std::chrono::milliseconds(1));
        run_until(*context, [&] { return got.has_value(); });
        CHECK(got->ec == errc::timed_out);
        CHECK(got->evidence.timeout == "total");
        CHECK(got->evidence.allowed == std::chrono::seconds(10));
        CHECK(text_of(got->error).find("\"http://127.0.0.1:1/x\"") != std::string::npos);
        CHECK(text_of(got->error).find("secret") == std::string::npos);
    }
    CHECK(left == 2);
}

TEST_CASE("check_status: a status of 400 or more is an error that holds the response")
{
    http_peer peer([](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            const auto status = text.substr(5, 3);
            c.write("HTTP/1.1 " + status +
                    " Whatever\r\nX-Why: because\r\nContent-Length: 6000\r\n\r\n" +
                    std::string(6000, 'x'));
        }
    });
    mortal_context context;
    const auto api = http::client(*context) | http::check_status();
    const auto reads = [](http::incoming_response& r) -> asio::awaitable<int> {
        co_await r.read_all(10'000);
        co_return r.head().status;
    };
    for (const int status : {200, 399}) {
        CHECK(run_on(*context, api.get(peer.url('/' + std::to_string(status)))).status == status);
        CHECK(run_on(*context, api.with_response({"GET", peer.url('/' + std::to_string(status))},
                                                 reads)) == status);
    }
    for (const int status : {400, 404, 503, 999}) {
        CAPTURE(status);
        const auto url = peer.url('/' + std::to_string(status) + "?secret=1");
        for (const bool streamed : {false, true}) {
            CAPTURE(streamed);
            try {
                if (streamed)
                    run_on(*context, api.with_response({"GET", url}, reads));
                else
                    run_on(*context, api.get(url));
                FAIL("it passed");
            } catch (const http::status_error& e) {
                CHECK(e.code() == errc::error_status);
                CHECK(e.code() == condition::status);
                CHECK(e.status() == status);
                CHECK(e.answer().headers["x-why"] == "because");
                CHECK(e.answer().body == std::string(4096, 'x'));
                const std::string text = e.what();
                CHECK(text.find("status " + std::to_string(status)) != std::string::npos);
                CHECK(text.find("secret") == std::string::npos);
                CHECK(text.find("xxx") == std::string::npos);
                CHECK(text.find("layers.cpp") != std::string::npos);
            }
        }
    }
}

} // namespace

} // namespace layers_tests
