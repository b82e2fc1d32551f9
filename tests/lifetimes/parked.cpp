// SPDX-License-Identifier: BSL-1.0
// Rows 7, 8, 9, 11, 13, 14 and 21 for connections that wait, parked, for the next context.

#include <loopsafe/testing/manual_clock.hpp>
#include <loopsafe/tls.hpp>

#include <lifetimes/processes.hpp>
#include <lifetimes/vocabulary.hpp>
#include <support/tls_peer.hpp>

namespace parked_tests {

namespace {

using namespace lifetimes;
using namespace std::chrono_literals;
using loopsafe::carry_over_pool;
using loopsafe::clock_reading;
using loopsafe::never;
using loopsafe::testing::manual_clock;

using carried_tcp = loopsafe::connection_pool<loopsafe::tcp_connector, carry_over_pool>;
using carried_tls = loopsafe::connection_pool<loopsafe::tls_connector, carry_over_pool>;

// Acquires on a context of its own, which dies with the connection idle.
template <class Pool>
void start(Pool& pool)
{
    asio::io_context context(1);
    run_on(context, pool.acquire()).release();
}

// By address: a look-up starts a thread, which a sanitizer does not let a forked child do.
loopsafe::tls_connector connector_for(const tls_peer& server)
{
    auto options = server.trusting();
    options.server_name = "localhost";
    return {server.endpoint(), options};
}

template <class Stream>
asio::awaitable<std::string> say(Stream& stream, std::string text)
{
    co_await asio::async_write(stream, asio::buffer(text), asio::use_awaitable);
    co_await asio::async_read(stream, asio::buffer(text), asio::use_awaitable);
    co_return text;
}

TEST_CASE("a forked child says nothing on its parent's parked connections (row 7)")
{
    tls_peer server;
    server.serve();
    carried_tls pool{connector_for(server)};
    start(pool);
    REQUIRE(pool.stats().parked == 1);
    child forked([&] {
        {
            asio::io_context fresh(1);
            auto own = run_on(fresh, pool.acquire());
            LOOPSAFE_TESTS_EXPECT(pool.stats().connects == 2)
            LOOPSAFE_TESTS_EXPECT(pool.stats().closed(close_reason::forked) == 1)
            LOOPSAFE_TESTS_EXPECT(run_on(fresh, say(*own, "own")) == "own")
            own.release();
        }
        LOOPSAFE_TESTS_EXPECT(pool.stats().parked == 1) // its own
        pool.close();
        return 0;
    });
    REQUIRE(forked.wait() == 0);
    asio::io_context context(1);
    auto lease = run_on(context, pool.acquire());
    CHECK(run_on(context, say(*lease, "parent")) == "parent");
    CHECK(pool.stats().connects == 1);
    CHECK(pool.stats().adopted == 1);
}

TEST_CASE("a forked child that never asks drops what was parked without a word (row 7)")
{
    void (carried_tls::*drop)() noexcept = nullptr;
    SUBCASE("close")
    {
        drop = &carried_tls::close;
    }
    SUBCASE("drop_parked")
    {
        drop = &carried_tls::drop_parked;
    }
    SUBCASE("invalidate")
    {
        drop = &carried_tls::invalidate;
    }
    tls_peer server;
    server.serve();
    std::optional<carried_tls> pool(connector_for(server));
    start(*pool);
    child forked([&] {
        ((*pool).*drop)();
        LOOPSAFE_TESTS_EXPECT(pool->stats().closed(close_reason::forked) == 1)
        pool.reset();
        return 0;
    });
    REQUIRE(forked.wait() == 0);
    asio::io_context context(1);
    auto lease = run_on(context, pool->acquire());
    CHECK(run_on(context, say(*lease, "parent")) == "parent");
    CHECK(pool->stats().connects == 1);
}

TEST_CASE("a context of the parent that dies in a forked child carries nothing over (row 7)")
{
    tcp_peer server;
    std::optional<asio::io_context> context(std::in_place, 1);
    carried_tcp pool{loopsafe::tcp_connector(server.endpoint())};
    run_on(*context, pool.acquire()).release();
    auto peer = server.accept();
    child forked([&] {
        context.reset();
        LOOPSAFE_TESTS_EXPECT(pool.stats().parked == 0)
        LOOPSAFE_TESTS_EXPECT(pool.stats().closed(close_reason::forked) == 1)
        return 0;
    });
    REQUIRE(forked.wait() == 0);
    auto lease = run_on(*context, pool.acquire());
    told result;
    char byte = 0;
    lease->async_read_some(asio::buffer(&byte, 1), result.handler());
    asio::write(peer, asio::buffer("!", 1)); // the reactor has kept its registration
    run_on(*context, say(*lease, ""));
    support::run_until(*context, [&] { return result.times == 1; });
    CHECK(byte == '!');
    CHECK(pool.stats().connects == 1);
}

TEST_CASE("a forked child that closes an adopted connection leaves its parent the events (row 7)")
{
    tcp_peer server;
    std::optional<carried_tcp> pool(loopsafe::tcp_connector(server.endpoint()));
    start(*pool);
    auto peer = server.accept();
    std::optional<asio::io_context> context(std::in_place, 1);
    auto lease = run_on(*context, pool->acquire());
    REQUIRE(pool->stats().adopted == 1);
    told result;
    char byte = 0;
    lease->async_read_some(asio::buffer(&byte, 1), result.handler());
    run_ready(*context);
    child forked([&] {
        lease.release();
        LOOPSAFE_TESTS_EXPECT(pool->stats().closed(close_reason::forked) == 1)
        pool.reset();
        return 0;
    });
    REQUIRE(forked.wait() == 0);
    asio::write(peer, asio::buffer("!", 1));
    support::run_until(*context, [&] { return result.times == 1; });
    CHECK(result.code == error_code());
    CHECK(byte == '!');
}

TEST_CASE("each of three clocks alone can tell how long a connection was parked (row 8)")
{
    using pool_type = loopsafe::connection_pool<
        scripted_connector, loopsafe::basic_carry_over_pool<loopsafe::pool_mutex, manual_clock>>;
    for (const auto& frozen :
         {clock_reading{0s, 0s, 60s}, clock_reading{60s, 0s, -1s}, clock_reading{0s, 60s, -1s}}) {
        manual_clock::reset();
        const auto script = std::make_shared<connect_script>();
        pool_type pool(scripted_connector(script), {.idle_timeout = 30s});
        start(pool);
        manual_clock::move(frozen.monotonic, frozen.boot, frozen.wall);
        start(pool);
        CHECK(pool.stats().closed(close_reason::idle_too_long) == 1);
        CHECK(pool.stats().dropped == 1);
        CHECK(pool.stats().connects == 2);
    }
}

TEST_CASE("a parked connection whose peer left during a freeze is not used after the thaw (row 8)")
{
    tcp_peer server;
    const cue parked;
    const cue thawed;
    child worker([&] {
        carried_tcp pool{loopsafe::tcp_connector(server.endpoint()),
                         {.idle_timeout = never, .max_lifetime = never, .probe_after = never}};
        start(pool);
        LOOPSAFE_TESTS_EXPECT(parked.give())
        LOOPSAFE_TESTS_EXPECT(thawed.await())
        asio::io_context context(1);
        auto lease = run_on(context, pool.acquire());
        LOOPSAFE_TESTS_EXPECT(pool.stats().closed(close_reason::probe_failed) == 1)
        LOOPSAFE_TESTS_EXPECT(pool.stats().dropped == 1)
        asio::write(lease->next_layer(), asio::buffer("new", 3));
        return 0;
    });
    REQUIRE(parked.await());
    auto peer = server.accept();
    worker.signal(SIGSTOP);
    worker.wait_until_stopped();
    hang_up(peer);
    REQUIRE(thawed.give());
    worker.signal(SIGCONT);
    REQUIRE(worker.wait() == 0);
    auto next = server.accept();
    CHECK(read(next, 3) == "new");
}

TEST_CASE("a parked connection that outlived a freeze is adopted (row 8)")
{
    tcp_peer server;
    const cue parked;
    const cue thawed;
    child worker([&] {
        carried_tcp pool{loopsafe::tcp_connector(server.endpoint())};
        start(pool);
        LOOPSAFE_TESTS_EXPECT(parked.give())
        LOOPSAFE_TESTS_EXPECT(thawed.await())
        asio::io_context context(1);
        auto lease = run_on(context, pool.acquire());
        asio::write(lease->next_layer(), asio::buffer("same", 4));
        LOOPSAFE_TESTS_EXPECT(pool.stats().connects == 1)
        return 0;
    });
    REQUIRE(parked.await());
    auto peer = server.accept();
    worker.signal(SIGSTOP);
    worker.wait_until_stopped();
    REQUIRE(thawed.give());
    worker.signal(SIGCONT);
    REQUIRE(worker.wait() == 0);
    CHECK(read(peer, 4) == "same");
}

TEST_CASE("after drop_parked the copies of a process share no connection (row 9)")
{
    tcp_peer server;
    carried_tcp pool{loopsafe::tcp_connector(server.endpoint())};
    start(pool);
    auto before = server.accept();
    pool.drop_parked();
    CHECK(pool.stats().closed(close_reason::parked_dropped) == 1);
    CHECK(support::read_to_end(before).empty());
    for (const std::string name : {"first", "second"}) {
        // As a snapshot that is restored, and unlike fork(), this tells nobody.
        const auto copy = ::_Fork();
        if (copy == 0) {
            asio::io_context context(1);
            auto lease = run_on(context, pool.acquire());
            asio::write(lease->next_layer(), asio::buffer(name));
            ::_exit(pool.stats().connects == 2 ? 0 : 1);
        }
        int status = -1;
        REQUIRE(::waitpid(copy, &status, 0) == copy);
        CHECK(status == 0);
        auto own = server.accept();
        CHECK(support::read_to_end(own) == name);
    }
}

TEST_CASE("a connection that something waits for is not carried over (row 11)")
{
    tcp_peer server;
    carried_tcp pool{loopsafe::tcp_connector(server.endpoint())};
    char byte = 0;
    told result;
    {
        asio::io_context context(1);
        auto lease = run_on(context, pool.acquire());
        SUBCASE("leased, by a frame that dies with the context")
        {
            asio::co_spawn(
                context,
                [](auto held, char& to) -> asio::awaitable<void> {
                    co_await held->async_read_some(asio::buffer(&to, 1), asio::use_awaitable);
                }(std::move(lease), byte),
                asio::detached);
            run_ready(context);
        }
        SUBCASE("leased, by a lease that ends later")
        {
            lease->async_read_some(asio::buffer(&byte, 1), result.handler());
        }
        SUBCASE("given back with the operation under way")
        {
            lease->async_read_some(asio::buffer(&byte, 1), result.handler());
            lease.release();
        }
        SUBCASE("given back, and used all the same")
        {
            auto& stream = *lease;
            lease.release();
            stream.async_read_some(asio::buffer(&byte, 1), result.handler());
        }
    }
    CHECK(result.times == 0);
    CHECK(pool.stats().parked == 0);
    CHECK(pool.stats().closed() == 1);
    auto peer = server.accept();
    CHECK(support::read_to_end(peer).empty());
}

TEST_CASE("a lease that outlives its pool leaves nothing parked (row 13)")
{
    tcp_peer server;
    const auto descriptors = open_descriptors();
    {
        std::optional<carried_tcp> pool(loopsafe::tcp_connector(server.endpoint()));
        asio::io_context context(1);
        auto idle = run_on(context, pool->acquire());
        auto lease = run_on(context, pool->acquire());
        idle.release();
        pool.reset();
        auto first = server.accept();
        CHECK(support::read_to_end(first).empty());
        auto second = server.accept();
        SUBCASE("and ends before the context")
        {
            lease.release();
        }
        SUBCASE("and ends after the context") {}
        SUBCASE("and ends with a frame of the context")
        {
            asio::post(context, [held = std::move(lease)] {});
        }
    }
    CHECK(open_descriptors() == descriptors);
}

TEST_CASE("a pool outlives its contexts, and its connection goes from one to the next (row 14)")
{
    tls_peer server;
    server.serve();
    std::optional<carried_tls> pool(connector_for(server));
    const auto descriptors = open_descriptors();
    for (int i = 0; i != 20; ++i) {
        asio::io_context context(1);
        auto lease = run_on(context, pool->acquire());
        const auto text = std::to_string(i);
        CHECK(run_on(context, say(*lease, text)) == text);
        lease.release();
    }
    CHECK(pool->stats().connects == 1);
    CHECK(pool->stats().times_parked == 20);
    CHECK(open_descriptors() <= descriptors + 2); // both ends of the one that is parked
    pool.reset();
    server.await_ended(1);
}

TEST_CASE("a connection of another context that lies on a shelf is not carried over (row 21)")
{
    tcp_peer server;
    carried_tcp pool{loopsafe::tcp_connector(server.endpoint())};
    two_contexts contexts;
    auto other = run_on(contexts.b, pool.acquire());
    {
        asio::io_context context(1);
        auto lease = run_on(context, pool.acquire());
        auto& stream = *lease;
        lease.release();
        stream = std::move(*other);
    }
    CHECK(pool.stats().parked == 0);
    CHECK(pool.stats().closed(close_reason::dirty) == 1);
}

} // namespace

} // namespace parked_tests
