// SPDX-License-Identifier: BSL-1.0
// What a TLS server may do to a connection that waits, parked, for the next context.

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/tls.hpp>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <future>
#include <poll.h>
#include <semaphore>
#include <support/run_until.hpp>
#include <support/tls_peer.hpp>

namespace tls_carried_tests {

namespace {

using namespace support;
using loopsafe::close_reason;
using pool_type = loopsafe::connection_pool<loopsafe::tls_connector, loopsafe::carry_over_pool>;

// Two contexts, one after the other, and a server that echoes one word for each, and does something
// when the first is gone.
struct between_two_contexts {
    explicit between_two_contexts(tls_peer::script what, int version = TLS1_3_VERSION)
    {
        peer.serve([this, what = std::move(what)](tls_peer::caller& c) {
            for (auto word = c.read(); !word.empty(); word = c.read()) {
                c.write(word);
                if (first.try_acquire()) {
                    parked.acquire();
                    what(c);
                    done.release();
                }
            }
        });
        auto trusting = peer.trusting();
        trusting.configure = [version](SSL_CTX* context) {
            SSL_CTX_set_max_proto_version(context, version);
        };
        pool.emplace(peer.connector(trusting));

        CHECK(exchange("first") == "first");
        REQUIRE(pool->stats().parked == 1);
        parked.release();
        done.acquire();
    }

    // Returns when what the server has sent is here.
    void await_input() const
    {
        ::pollfd one{descriptor, POLLIN, 0};
        REQUIRE(::poll(&one, 1, -1) == 1);
    }

    std::string exchange(std::string word)
    {
        asio::io_context context(1);
        auto lease = run_on(context, pool->acquire());
        descriptor = lease->lowest_layer().native_handle();
        const auto both = [](auto& stream, auto& text) -> asio::awaitable<void> {
            co_await asio::async_write(stream, asio::buffer(text), asio::use_awaitable);
            text.assign(text.size(), '\0');
            co_await asio::async_read(stream, asio::buffer(text), asio::use_awaitable);
        };
        run_on(context, both(*lease, word));
        resumed = lease->resumed();
        lease.release();
        return word;
    }

    void adopted()
    {
        CHECK(exchange("second") == "second");
        CHECK(pool->stats().connects == 1);
        CHECK(pool->stats().adopted == 1);
        CHECK(pool->stats().closed() == 0);
    }

    void dropped()
    {
        CHECK(exchange("second") == "second");
        CHECK(pool->stats().connects == 2);
        CHECK(pool->stats().dropped == 1);
        CHECK(pool->stats().closed(close_reason::probe_failed) == 1);
    }

    std::binary_semaphore first{1};
    std::binary_semaphore parked{0};
    std::binary_semaphore done{0};
    tls_peer peer;
    std::optional<pool_type> pool;
    int descriptor = -1;
    bool resumed = false;
};

void raw(tls_peer::caller& c, const std::string& bytes)
{
    asio::write(c.socket(), asio::buffer(bytes));
}

} // namespace

TEST_SUITE_BEGIN("tls");

TEST_CASE("parked TLS: a server that says nothing has its connection adopted")
{
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        between_two_contexts f([](tls_peer::caller&) {}, version);
        f.adopted();
    }
}

TEST_CASE("parked TLS: session tickets that come late are taken in, and good for a resumption")
{
    between_two_contexts f([](tls_peer::caller& c) {
        for (int i = 0; i != 3; ++i) {
            SSL_new_session_ticket(c.ssl());
            SSL_do_handshake(c.ssl());
        }
    });
    f.await_input();
    f.adopted();
    CHECK_FALSE(f.resumed);
    f.pool->invalidate();
    f.exchange("third");
    CHECK(f.resumed);
}

TEST_CASE("parked TLS: new keys are taken in, and answered")
{
    for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
        between_two_contexts f([kind](tls_peer::caller& c) {
            SSL_key_update(c.ssl(), kind);
            SSL_do_handshake(c.ssl());
        });
        f.await_input();
        f.adopted();
        CHECK(f.exchange("third") == "third");
    }
}

TEST_CASE("parked TLS: a connection to which the server says good-bye is dropped")
{
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        between_two_contexts f([](tls_peer::caller& c) { c.say_goodbye(); }, version);
        f.await_input();
        f.dropped();
    }
}

TEST_CASE("parked TLS: a connection that ends without a good-bye is dropped")
{
    between_two_contexts f([](tls_peer::caller& c) {
        boost::system::error_code ignored;
        c.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    });
    f.await_input();
    f.dropped();
}

TEST_CASE("parked TLS: a server that sends what nobody asked for loses its connection")
{
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        between_two_contexts f([](tls_peer::caller& c) { c.write("unasked"); }, version);
        f.await_input();
        f.dropped();
    }
}

TEST_CASE("parked TLS: data behind a ticket is noticed")
{
    between_two_contexts f([](tls_peer::caller& c) {
        SSL_new_session_ticket(c.ssl());
        SSL_do_handshake(c.ssl());
        c.write("unasked");
    });
    f.await_input();
    f.dropped();
}

TEST_CASE(
    "parked TLS: bytes that are no record, an alert in the clear and half a record are errors")
{
    for (const std::string& bytes :
         {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\x15\x03\x03\x00\x02\x02\x28", 7),
          std::string("\x17\x03\x03", 3), std::string("\x17\x03\x03\x00\x20half", 9)}) {
        CAPTURE(bytes.size());
        between_two_contexts f([&](tls_peer::caller& c) { raw(c, bytes); });
        f.await_input();
        f.dropped();
    }
}

// RFC 5246, 7.4.1.1: a client may ignore it. OpenSSL does, or begins to handshake, as the bytes
// come.
TEST_CASE("parked TLS: a server of TLS 1.2 that wants a new handshake is not misunderstood")
{
    between_two_contexts f(
        [](tls_peer::caller& c) {
            SSL_renegotiate(c.ssl());
            SSL_do_handshake(c.ssl());
        },
        TLS1_2_VERSION);
    f.await_input();
    CHECK(f.exchange("second") == "second");
    const auto s = f.pool->stats();
    CHECK(s.adopted + s.dropped == 1);
    CHECK(s.dropped == s.closed(close_reason::probe_failed));
    CHECK(s.connects == 1 + s.dropped);
}

TEST_CASE("parked TLS: the server hears a good-bye of what is dropped")
{
    std::promise<int> why;
    tls_peer peer;
    peer.serve([&](tls_peer::caller& c) {
        c.write(c.read());
        c.read();
        why.set_value(c.why());
    });
    pool_type pool(peer.connector());
    {
        asio::io_context context(1);
        auto lease = run_on(context, pool.acquire());
        run_on(context, [](auto& stream) -> asio::awaitable<void> {
            char byte = 'x';
            co_await asio::async_write(stream, asio::buffer(&byte, 1), asio::use_awaitable);
            co_await asio::async_read(stream, asio::buffer(&byte, 1), asio::use_awaitable);
        }(*lease));
        lease.release();
    }
    pool.drop_parked();
    CHECK(why.get_future().get() == SSL_ERROR_ZERO_RETURN);
}

TEST_SUITE_END();

} // namespace tls_carried_tests
