// SPDX-License-Identifier: BSL-1.0
// What the functions of a caller do in the middle of a request: throw, destroy the client, or
// nothing at all.

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <functional>
#include <http/stepped.hpp>
#include <optional>

namespace reentrant_tests {

namespace {

using namespace http_test;
using kind = http::event::kind;

constexpr kind all_kinds[] = {kind::resolved, kind::connected,  kind::secured,
                              kind::acquired, kind::first_byte, kind::returned};

// A request under way ends as it would have, one that has no connection yet is refused.
void check_ended(stepped& w)
{
    run_until(*w.context, [&] { return w.ended; });
    if (w.error != nullptr)
        CHECK(code_of(w.error) == loopsafe::errc::pool_closed);
    else
        CHECK(w.got == w.target());
    CHECK(w.client == nullptr);
}

TEST_CASE("http: a client is destroyed by its own hook")
{
    for_each_situation([](const situation& s) {
        if (s.kept)
            return;
        http_peer peer(answer_errands, s.secure);
        loopsafe::worker_threads workers;
        for (const auto at : all_kinds) {
            if (at == kind::secured && !s.secure)
                continue;
            CAPTURE(static_cast<int>(at));
            std::function<void()> destroy;
            stepped w(s, peer, &workers, [&](http::single_use_client_options& o) {
                o.on_event = [&destroy, at](const http::event& e) {
                    if (e.what == at)
                        destroy();
                };
            });
            destroy = [&w] { w.client.reset(); };
            w.begin();
            check_ended(w);
            if (at >= kind::acquired)
                CHECK(w.error == nullptr);
        }
        CHECK(workers.join(10s));
    });
}

TEST_CASE("http: a client is destroyed by its own hook while it drops what is parked")
{
    using client_type = http::basic_client<loopsafe::carry_over_pool>;
    http_peer first(http_peer::always(answer("ok")));
    http_peer second(http_peer::always(answer("ok")));
    const std::vector<std::function<void(client_type&)>> ways{
        [](client_type& c) { c.drop_parked(); }, [](client_type& c) { c.invalidate(); },
        [](client_type& c) { c.close(); }};
    for (const auto& drop : ways) {
        std::optional<client_type> client;
        int dropped = 0;
        client_type::options with;
        with.on_event = [&, text = std::string(100, 'k')](const http::event& e) {
            if (e.what != kind::dropped)
                return;
            ++dropped;
            client.reset();
            CHECK(text == std::string(100, 'k'));
        };
        client.emplace(with);
        {
            asio::io_context context(1);
            CHECK(run_on(context, client->get(first.url())).body == "ok");
            CHECK(run_on(context, client->get(second.url())).body == "ok");
        }
        CHECK(client->stats().parked == 2);
        drop(*client);
        CHECK_FALSE(client.has_value());
        CHECK(dropped == 2);
    }
}

TEST_CASE("http: a client is destroyed by the function that it asks for a secret")
{
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        http_peer peer(answer_errands);
        std::function<void()> destroy;
        stepped w(
            {what, false, errand::get}, peer, nullptr, [&](http::single_use_client_options& o) {
                o.authorization = [&destroy](const http::origin&) -> asio::awaitable<std::string> {
                    destroy();
                    co_return "Bearer x";
                };
            });
        destroy = [&w] { w.client.reset(); };
        w.begin();
        check_ended(w);
        // A request through layers keeps its client, as it keeps them.
        CHECK((w.error == nullptr) == has_layers(what));
        CHECK(peer.connections() == (has_layers(what) ? 1 : 0));
    }
}

TEST_CASE("http: a client is destroyed by who makes a body, and by who reads one")
{
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        linked l(what, false, answer_errands);
        const auto maker = [&l](http::body_writer& out) -> asio::awaitable<void> {
            l.client.reset();
            co_await out.write("some of it");
        };
        const auto made = l.send({"POST", "/made", http::request_body::streamed(maker)});
        CHECK(made.answer.body == "/made");
        CHECK(l.client == nullptr);

        linked other(what, false, answer_errands);
        std::string all;
        const auto reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
            other.client.reset();
            all = co_await in.read_all(10'000);
        };
        run_on(*other.context, other.client->with_response({"GET", "/download"}, reader));
        CHECK(all.size() == 4000);
        CHECK(other.client == nullptr);
    }
}

TEST_CASE("http: who makes a body for ever is cancelled when the time for it all is over")
{
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        linked l(what, false, answer_errands);
        const auto maker = [](http::body_writer&) -> asio::awaitable<void> {
            asio::steady_timer for_ever(co_await asio::this_coro::executor,
                                        asio::steady_timer::time_point::max());
            co_await for_ever.async_wait(asio::use_awaitable);
        };
        request r("POST", "/made", http::request_body::streamed(maker));
        r.timeouts.emplace();
        r.timeouts->total = 20ms;
        CHECK(l.send(std::move(r)).ec == errc::timed_out);
        CHECK(l.client->stats().leased == 0);
        CHECK(l.get("/next").answer.body == "/next");
    }
}

// What a hook is told of requests that have a connection, and that they have let go of it.
struct balance {
    std::atomic<int> acquired{0};
    std::atomic<int> returned{0};

    std::function<void(http::single_use_client_options&)> watch()
    {
        return [this](http::single_use_client_options& o) {
            o.max_per_origin = o.max_total = 1;
            o.on_event = [this](const http::event& e) {
                acquired += e.what == kind::acquired ? 1 : 0;
                returned += e.what == kind::returned ? 1 : 0;
            };
        };
    }
};

TEST_CASE("http: whatever ends a request, the hook is told once that it has let go of its "
          "connection, and the next one has it")
{
    const auto fails = [](http::body_writer& out) -> asio::awaitable<void> {
        co_await out.write("some of it");
        throw std::runtime_error("the maker failed");
    };
    const auto never_writes = [](http::body_writer&) -> asio::awaitable<void> { co_return; };
    const auto throws = [](http::incoming_response& in) -> asio::awaitable<void> {
        std::array<char, 10> some;
        co_await in.read_some(asio::buffer(some));
        throw std::runtime_error("the reader failed");
    };
    const auto stops = [](http::incoming_response& in) -> asio::awaitable<void> {
        std::array<char, 10> some;
        co_await in.read_some(asio::buffer(some));
    };
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        balance told;
        linked l(what, false, answer_errands, told.watch());
        int requests = 0;
        const auto check = [&] {
            CHECK(l.get("/next").answer.body == "/next");
            requests += 2;
            CHECK(told.acquired == requests);
            CHECK(told.returned == requests);
            CHECK(l.client->stats().leased == 0);
        };
        const auto post = [&](const http::request_body::maker& make,
                              std::optional<std::uint64_t> length = {}) {
            return l.send({"POST", "/", http::request_body::streamed(make, length)});
        };
        CHECK_THROWS_WITH(post(fails), "the maker failed");
        check();
        CHECK_THROWS_WITH(post(fails, 100), "the maker failed");
        check();
        CHECK(post(never_writes).answer.body == "/");
        check();
        CHECK(post(never_writes, 0).answer.body == "/");
        check();
        CHECK(post(never_writes, 5).ec == errc::bad_length);
        check();
        CHECK_THROWS_WITH(run_on(*l.context, l.client->with_response({"GET", "/download"}, throws)),
                          "the reader failed");
        check();
        run_on(*l.context, l.client->with_response({"GET", "/download"}, stops));
        check();
    }
}

} // namespace

} // namespace reentrant_tests
