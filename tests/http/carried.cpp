// SPDX-License-Identifier: BSL-1.0
// A thousand invocations, each on a context of its own, as the server counts them.

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/tls.hpp>

#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <http/support.hpp>

namespace carried_tests {

namespace {

using namespace http_test;
using loopsafe::carry_over_pool;
using loopsafe::null_pool;
using loopsafe::pool_stats;

constexpr int invocations = 1000;

http_peer::script echo_lines()
{
    return [](http_peer::caller& c) {
        for (auto line = c.read_until("\n"); !line.empty() && c.write(line);)
            line = c.read_until("\n");
    };
}

template <class Pool>
asio::awaitable<bool> exchange(Pool& pool, std::string line)
{
    auto lease = co_await pool.acquire();
    co_await asio::async_write(*lease, asio::buffer(line), asio::use_awaitable);
    std::string answer(line.size(), '\0');
    co_await asio::async_read(*lease, asio::buffer(answer), asio::use_awaitable);
    lease.release();
    co_return answer == line;
}

// How many of them were answered rightly.
template <class Pool>
int thousand_exchanges(Pool& pool)
{
    int right = 0;
    for (int i = 0; i != invocations; ++i) {
        asio::io_context context(1);
        right += run_on(context, exchange(pool, std::to_string(i) + '\n')) ? 1 : 0;
    }
    return right;
}

void carried(const pool_stats& s)
{
    CHECK(s.connects == 1);
    CHECK(s.times_parked == invocations);
    CHECK(s.adopted == invocations - 1);
    CHECK(s.dropped == 0);
    CHECK(s.closed() == 0);
}

template <class Connector>
void carried_and_not(const Connector& how, http_peer& peer)
{
    {
        loopsafe::connection_pool<Connector, carry_over_pool> pool(how);
        CHECK(thousand_exchanges(pool) == invocations);
        carried(pool.stats());
        CHECK(peer.connections() == 1);
        CHECK(peer.handshakes() == (peer.is_secure() ? 1 : 0));
    }
    loopsafe::connection_pool<Connector, null_pool> pool(how);
    CHECK(thousand_exchanges(pool) == invocations);
    CHECK(pool.stats().connects == invocations);
    CHECK(peer.connections() == 1 + invocations);
    CHECK(peer.handshakes() == (peer.is_secure() ? 1 + invocations : 0));
}

loopsafe::tls_connector over_tls(const http_peer& peer, int version)
{
    loopsafe::tls_options options;
    options.trusted_file = peer.root_file();
    options.configure = [version](SSL_CTX* context) {
        SSL_CTX_set_max_proto_version(context, version);
        SSL_CTX_set_min_proto_version(context, version);
    };
    return {peer.endpoint(), options};
}

} // namespace

TEST_CASE("http carried: a thousand contexts over TCP make one connection, or a thousand")
{
    http_peer peer(echo_lines());
    carried_and_not(loopsafe::tcp_connector(peer.endpoint()), peer);
}

TEST_CASE("http carried: a thousand contexts over TLS 1.2 make one handshake, or a thousand")
{
    http_peer peer(echo_lines(), true);
    carried_and_not(over_tls(peer, TLS1_2_VERSION), peer);
}

TEST_CASE("http carried: a thousand contexts over TLS 1.3 make one handshake, or a thousand")
{
    http_peer peer(echo_lines(), true);
    carried_and_not(over_tls(peer, TLS1_3_VERSION), peer);
}

TEST_CASE(
    "http carried: a thousand contexts over HTTP and HTTPS make one connection, or a thousand")
{
    for (const bool secure : {false, true}) {
        CAPTURE(secure);
        http_peer peer(http_peer::always(answer("hello")), secure);
        http::single_use_client_options with;
        with.tls.trusted_file = secure ? peer.root_file() : "";
        const auto thousand_requests = [&](combination what) {
            asio::io_context none(1);
            const auto client = make_client(what, none, with);
            int right = 0;
            for (int i = 0; i != invocations; ++i) {
                asio::io_context context(1);
                right += run_on(context, client->get(peer.url())).body == "hello" ? 1 : 0;
            }
            CHECK(right == invocations);
            return client->stats();
        };
        carried(thousand_requests(combination::carry_over_on_context));
        CHECK(peer.connections() == 1);
        CHECK(peer.handshakes() == (secure ? 1 : 0));
        CHECK(thousand_requests(combination::null_on_context).connects == invocations);
        CHECK(peer.connections() == 1 + invocations);
        CHECK(peer.handshakes() == (secure ? 1 + invocations : 0));
    }
}

TEST_CASE("http carried: the hook hears of what is parked, adopted and dropped")
{
    using kind = http::event::kind;
    names told;
    http::single_use_client_options with;
    with.on_event = [&](const http::event& e) {
        if (e.what == kind::connected)
            told.emplace_back("connected");
        else if (e.what == kind::parked)
            told.emplace_back("parked");
        else if (e.what == kind::adopted)
            told.emplace_back("adopted");
        else if (e.what == kind::acquired)
            told.emplace_back(e.reused ? "acquired again" : "acquired");
        else if (e.what == kind::dropped)
            told.emplace_back(e.reason == loopsafe::close_reason::probe_failed ? "dropped" : "?");
    };
    http_peer peer([](http_peer::caller& c) {
        for (int i = 0; i != 2 && !c.read_request().empty(); ++i)
            c.write(answer("ok"));
        c.close();
        c.peer().note("closed");
        c.await_end();
    });
    mortal_context context;
    const auto client = make_client(combination::carry_over_on_context, *context, with);
    for (int i = 0; i != 2; ++i) {
        CHECK(run_on(*context, client->get(peer.url())).body == "ok");
        context.reborn();
    }
    peer.await_note("closed");
    CHECK(run_on(*context, client->get(peer.url())).body == "ok");
    CHECK(told == names{"connected", "acquired", "parked", "adopted", "acquired again", "parked",
                        "dropped", "connected", "acquired"});
    CHECK(peer.connections() == 2);
}

TEST_CASE("http carried: a hook that hears of what is dropped may ask its client")
{
    http_peer peer(http_peer::always(answer("ok")));
    std::unique_ptr<any_client> client;
    std::size_t parked = 99;
    http::single_use_client_options with;
    with.on_event = [&](const http::event& e) {
        if (e.what == http::event::kind::dropped)
            parked = client->stats().parked;
    };
    mortal_context context;
    client = make_client(combination::carry_over_on_context, *context, with);
    const auto park = [&] {
        CHECK(run_on(*context, client->get(peer.url())).body == "ok");
        context.reborn();
        CHECK(client->stats().parked == 1);
    };
    park();
    client->invalidate();
    CHECK(std::exchange(parked, 99) == 0);
    park();
    client->close();
    CHECK(std::exchange(parked, 99) == 0);
}

} // namespace carried_tests
