// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/tcp.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace mid_exchange_tests {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using loopsafe::close_reason;
using loopsafe::error_code;

// Answers each byte with a head and a body, two bytes each, that name the connection: h1b1 on the
// first connection, h2b2 on the second.
class peer {
public:
    peer() : acceptor_(context_, {asio::ip::address_v4::loopback(), 0})
    {
        asio::co_spawn(context_, accept(), asio::detached);
    }

    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
    int accepted() const { return accepted_; }

    // Runs both sides until `done` says so.
    template <class Done>
    void run_with(asio::io_context& client, Done done)
    {
        while (!done()) {
            context_.poll();
            client.restart();
            client.poll();
        }
    }

private:
    asio::awaitable<void> accept()
    {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
            asio::co_spawn(context_, answer(std::move(socket), ++accepted_), asio::detached);
        }
    }

    static asio::awaitable<void> answer(tcp::socket socket, int number)
    {
        const auto n = std::to_string(number);
        const auto reply = "h" + n + "b" + n;
        for (;;) {
            char request = 0;
            co_await asio::async_read(socket, asio::buffer(&request, 1), asio::use_awaitable);
            if (request == 'q')
                co_return;
            co_await asio::async_write(socket, asio::buffer(reply), asio::use_awaitable);
        }
    }

    asio::io_context context_{1};
    tcp::acceptor acceptor_;
    int accepted_ = 0;
};

asio::awaitable<void> send(loopsafe::tcp_stream& stream, char request = '?')
{
    co_await asio::async_write(stream, asio::buffer(&request, 1), asio::use_awaitable);
}

asio::awaitable<std::string> receive(loopsafe::tcp_stream& stream)
{
    std::string half(2, ' ');
    co_await asio::async_read(stream, asio::buffer(half), asio::use_awaitable);
    co_return half;
}

// A connection that knows whether a reply is owed to it.
struct counting_connection {
    explicit counting_connection(loopsafe::tcp_stream connected) : stream(std::move(connected)) {}

    loopsafe::tcp_stream stream;
    int owed = 0; // halves of replies
};

class counting_connector {
public:
    using connection_type = counting_connection;

    static constexpr bool frames_messages = true;

    explicit counting_connector(tcp::endpoint endpoint) : below_(std::move(endpoint)) {}

    asio::awaitable<connection_type> connect(asio::any_io_executor executor) const
    {
        co_return connection_type(co_await below_.connect(executor));
    }
    bool is_clean(const connection_type& c) const noexcept
    {
        return c.owed == 0 && below_.is_clean(c.stream);
    }
    bool probe(connection_type& c) const noexcept { return below_.probe(c.stream); }

private:
    loopsafe::tcp_connector below_;
};

asio::awaitable<void> send(counting_connection& connection)
{
    connection.owed += 2;
    co_await send(connection.stream);
}

asio::awaitable<std::string> receive(counting_connection& connection)
{
    auto half = co_await receive(connection.stream);
    --connection.owed;
    co_return half;
}

// Nothing but the rule under test keeps a connection from being used again: no probe.
constexpr loopsafe::kept_connection_options unprobed{.max_size = 1, .probe_after = loopsafe::never};

template <class Connector>
struct scene_of {
    using pool = loopsafe::connection_pool<Connector, loopsafe::per_context_pool>;
    using lease = typename pool::lease_type;

    peer remote;
    loopsafe::testing::mortal_context context;
    pool connections{Connector(remote.endpoint()), unprobed};

    void run(asio::awaitable<void> client)
    {
        std::exception_ptr error;
        bool done = false;
        asio::co_spawn(*context, std::move(client), [&](const std::exception_ptr& e) {
            error = e;
            done = true;
        });
        remote.run_with(*context, [&] { return done; });
        if (error != nullptr)
            std::rethrow_exception(error);
    }

    // What the next user of the pool hears in answer to its own request.
    std::string next()
    {
        std::string heard;
        run([](pool& from, std::string& out) -> asio::awaitable<void> {
            auto mine = co_await from.acquire();
            co_await send(*mine);
            out = co_await receive(*mine);
            out += co_await receive(*mine);
        }(connections, heard));
        return heard;
    }

    void check_closed(close_reason why)
    {
        CHECK(connections.stats().idle == 0);
        CHECK(connections.stats().leased == 0);
        CHECK(connections.stats().closed(why) == 1);
        CHECK(connections.stats().closed() == 1);
    }
};

using scene = scene_of<loopsafe::tcp_connector>;
using counting_scene = scene_of<counting_connector>;

asio::awaitable<void> half_an_exchange(scene::lease& lease)
{
    co_await send(*lease);
    co_await receive(*lease);
}

asio::awaitable<void> break_off(scene::lease lease)
{
    co_await half_an_exchange(lease);
    throw std::runtime_error("in mid-exchange");
}

// Suspends the caller in an operation of which nothing is left but its handler.
asio::awaitable<void> suspend(std::shared_ptr<void>& handler)
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [&](auto resume) { handler = std::make_shared<decltype(resume)>(std::move(resume)); },
        asio::use_awaitable);
}

} // namespace

TEST_CASE("a connection whose exchange was completed serves the next (rule 5)")
{
    scene s;
    CHECK(s.next() == "h1b1");
    CHECK(s.next() == "h1b1");
    CHECK(s.remote.accepted() == 1);
}

TEST_CASE("an exception in mid-exchange closes the connection (rule 5)")
{
    scene s;
    const auto client = [&]() -> asio::awaitable<void> {
        auto lease = co_await s.connections.acquire();
        co_await half_an_exchange(lease);
        throw std::runtime_error("in mid-exchange");
    };
    CHECK_THROWS_AS(s.run(client()), std::runtime_error);
    s.check_closed(close_reason::dirty);
    CHECK(s.next() == "h2b2");
}

TEST_CASE(
    "an exception in mid-exchange closes the connection of a lease that was handed on (rule 5)")
{
    scene s;
    const auto client = [&]() -> asio::awaitable<void> {
        co_await break_off(co_await s.connections.acquire());
    };
    CHECK_THROWS_AS(s.run(client()), std::runtime_error);
    s.check_closed(close_reason::dirty);
    CHECK(s.next() == "h2b2");
}

TEST_CASE("an exception that leaves a completion handler closes the connection it holds (rule 5)")
{
    scene s;
    scene::lease lease;
    const auto client = [&]() -> asio::awaitable<void> {
        lease = co_await s.connections.acquire();
        co_await half_an_exchange(lease);
    };
    s.run(client());
    asio::post(*s.context,
               [held = std::move(lease)] { throw std::runtime_error("in mid-exchange"); });
    s.context->restart();
    CHECK_THROWS_AS(s.context->poll(), std::runtime_error);
    s.check_closed(close_reason::dirty);
    CHECK(s.next() == "h2b2");
}

TEST_CASE("an exception that is caught within the exchange does not cost the connection (rule 5)")
{
    scene s;
    const auto client = [&]() -> asio::awaitable<void> {
        auto lease = co_await s.connections.acquire();
        co_await half_an_exchange(lease);
        try {
            throw std::runtime_error("of no consequence");
        } catch (const std::runtime_error&) {
        }
        co_await receive(*lease);
    };
    s.run(client());
    CHECK(s.next() == "h1b1");
}

TEST_CASE("where the connector knows where messages end, an exception between them costs no "
          "connection (rule 5)")
{
    counting_scene s;
    int halves = 2;
    const auto client = [&]() -> asio::awaitable<void> {
        auto lease = co_await s.connections.acquire();
        co_await send(*lease);
        for (int received = 0; received < halves; ++received)
            co_await receive(*lease);
        throw std::runtime_error("of the caller's own");
    };
    CHECK_THROWS_AS(s.run(client()), std::runtime_error);
    CHECK(s.connections.stats().idle == 1);
    CHECK(s.next() == "h1b1");
    for (halves = 0; halves < 2; ++halves) {
        const int before = s.remote.accepted();
        CHECK_THROWS_AS(s.run(client()), std::runtime_error);
        CHECK(s.connections.stats().idle == 0);
        CHECK(s.next() == "h" + std::to_string(before + 1) + "b" + std::to_string(before + 1));
    }
    CHECK(s.connections.stats().closed() == 2);
}

TEST_CASE("a cancellation in mid-exchange closes the connection (rule 5)")
{
    scene s;
    asio::cancellation_signal signal;
    std::exception_ptr error;
    asio::co_spawn(
        *s.context,
        [&]() -> asio::awaitable<void> {
            auto lease = co_await s.connections.acquire();
            co_await send(*lease);
            asio::post(*s.context, [&] { signal.emit(asio::cancellation_type::terminal); });
            co_await receive(*lease);
        },
        asio::bind_cancellation_slot(signal.slot(),
                                     [&](const std::exception_ptr& e) { error = e; }));
    s.remote.run_with(*s.context, [&] { return error != nullptr; });
    s.check_closed(close_reason::dirty);
    CHECK(s.next() == "h2b2");
}

TEST_CASE(
    "an operation that failed closes the connection, although its error was dealt with (rule 5)")
{
    scene s;
    error_code failure;
    SUBCASE("it was cancelled")
    {
        const auto client = [&]() -> asio::awaitable<void> {
            auto lease = co_await s.connections.acquire();
            co_await send(*lease);
            asio::post(*s.context, [&] { lease->next_layer().cancel(); });
            char reply = 0;
            std::tie(failure, std::ignore) = co_await lease->async_read_some(
                asio::buffer(&reply, 1), asio::as_tuple(asio::use_awaitable));
        };
        s.run(client());
        CHECK(failure == asio::error::operation_aborted);
    }
    SUBCASE("the peer hung up")
    {
        const auto client = [&]() -> asio::awaitable<void> {
            auto lease = co_await s.connections.acquire();
            co_await send(*lease, 'q');
            char reply = 0;
            std::tie(failure, std::ignore) = co_await lease->async_read_some(
                asio::buffer(&reply, 1), asio::as_tuple(asio::use_awaitable));
        };
        s.run(client());
        CHECK(failure == asio::error::eof);
    }
    s.check_closed(close_reason::dirty);
    CHECK(s.next() == "h2b2");
}

TEST_CASE("a lease that ends while an operation is pending closes the connection (rule 5)")
{
    scene s;
    error_code failure;
    std::string reply(4, ' ');
    const auto client = [&]() -> asio::awaitable<void> {
        auto lease = co_await s.connections.acquire();
        co_await send(*lease);
        asio::async_read(*lease, asio::buffer(reply),
                         [&](const error_code& ec, std::size_t) { failure = ec; });
    };
    s.run(client());
    s.check_closed(close_reason::dirty);
    CHECK(s.next() == "h2b2");
    CHECK(failure == asio::error::operation_aborted);
    CHECK(reply == "    ");
}

TEST_CASE("a lease that ends between two messages of one reply is closed by a connector that "
          "counts (rule 5)")
{
    counting_scene s;
    const auto client = [&]() -> asio::awaitable<void> {
        auto lease = co_await s.connections.acquire();
        co_await send(*lease);
        co_await receive(*lease);
    };
    s.run(client());
    s.check_closed(close_reason::dirty);
    CHECK(s.next() == "h2b2");
    CHECK(s.next() == "h2b2");
}

TEST_CASE("a frame destroyed in mid-exchange closes the connection (rule 5)")
{
    counting_scene s;
    std::shared_ptr<void> handler;
    const auto client = [&]() -> asio::awaitable<void> {
        auto lease = co_await s.connections.acquire();
        co_await send(*lease);
        co_await receive(*lease);
        co_await suspend(handler);
    };
    asio::co_spawn(*s.context, client(), asio::detached);
    s.remote.run_with(*s.context, [&] { return handler != nullptr; });
    REQUIRE(s.connections.stats().leased == 1);
    handler.reset();
    s.context->restart();
    s.context->poll();
    s.check_closed(close_reason::dirty);
    CHECK(s.next() == "h2b2");
}

namespace {

// Asks for a connection while the context dies.
struct late_comer {
    late_comer(scene& where, bool& came_into_one) : s(where), got_one(came_into_one) {}
    late_comer(late_comer&& other) noexcept
        : s(other.s), got_one(other.got_one), waits(std::exchange(other.waits, false))
    {
    }
    ~late_comer()
    {
        if (waits)
            got_one = static_cast<bool>(s.connections.try_acquire(s.context->get_executor()));
    }

    scene& s;
    bool& got_one;
    bool waits = true;
};

struct callback {
    void operator()(const error_code&) const {}

    late_comer late; // dies after the lease
    scene::lease lease;
    std::shared_ptr<asio::steady_timer> timer;
};

} // namespace

TEST_CASE("a callback destroyed with its context in mid-exchange leaves its connection to nobody "
          "(rule 5)")
{
    scene s;
    bool got_one = false;
    loopsafe::context_of(*s.context); // the tag is older than the reactor
    scene::lease lease;
    const auto client = [&]() -> asio::awaitable<void> {
        lease = co_await s.connections.acquire();
        co_await half_an_exchange(lease);
    };
    s.run(client());
    auto timer =
        std::make_shared<asio::steady_timer>(*s.context, asio::steady_timer::time_point::max());
    auto& waiting = *timer;
    waiting.async_wait(callback{late_comer(s, got_one), std::move(lease), std::move(timer)});
    s.context.die();
    CHECK_FALSE(got_one);
    s.check_closed(close_reason::context_died);
    s.context.reborn();
    CHECK(s.next() == "h2b2");
}

} // namespace mid_exchange_tests
