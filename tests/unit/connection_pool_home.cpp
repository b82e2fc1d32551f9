// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <support/scripted.hpp>

namespace connection_pool_home_tests {

namespace {

using namespace support;
using loopsafe::connection_pool;
using loopsafe::context_of;
using loopsafe::testing::mortal_context;
using strict_pool = connection_pool<scripted_connector>;

strict_pool strict(const loopsafe::detail::located_executor& home)
{
    return {home, scripted_connector(std::make_shared<connect_script>())};
}

TEST_CASE("a pool with a home takes an io_context, its executor, a strand and any_io_executor")
{
    asio::io_context context;
    const auto serves = [&](strict_pool pool) {
        CHECK(pool.home() == context_of(context));
        run_on(context, pool.acquire()).release();
        return number(run_on(context, pool.acquire())) == 1;
    };
    CHECK(serves(strict(context)));
    CHECK(serves(strict(context.get_executor())));
    CHECK(serves(strict(asio::make_strand(context))));
    CHECK(serves(strict(asio::any_io_executor(context.get_executor()))));
    CHECK(serves(strict(asio::any_io_executor(asio::make_strand(context)))));
}

TEST_CASE("a pool with a home takes a thread_pool")
{
    asio::thread_pool threads(2);
    auto pool = strict(threads);
    CHECK(pool.home() == context_of(threads));
    const auto use = [&]() -> asio::awaitable<int> {
        const auto lease = co_await pool.acquire();
        co_return number(lease);
    };
    CHECK(asio::co_spawn(threads, use(), asio::use_future).get() == 1);
    CHECK(asio::co_spawn(threads.get_executor(), use(), asio::use_future).get() == 1);
    // Kept, since the thread sanitizer does not see the fence before Asio frees the last copy.
    const asio::any_io_executor strand(asio::make_strand(threads));
    CHECK(asio::co_spawn(strand, use(), asio::use_future).get() == 1);
    pool.close();
    threads.join();
}

TEST_CASE("a coroutine on a strand of the home is served, and its connection is made on the strand")
{
    asio::io_context context;
    auto pool = strict(context);
    const auto strand = asio::make_strand(context);
    bool on_strand = false;
    asio::co_spawn(
        strand,
        [&]() -> asio::awaitable<void> {
            auto lease = co_await pool.acquire();
            on_strand = lease->timer().get_executor() == asio::any_io_executor(strand);
        },
        [](const std::exception_ptr& e) { CHECK(e == nullptr); });
    context.run();
    CHECK(on_strand);
}

TEST_CASE("a pool whose home is a strand may be destroyed after the context")
{
    mortal_context context;
    std::optional pool(strict(asio::make_strand(*context)));
    run_on(*context, pool->acquire()).release();
    context.die();
    CHECK(pool->stats().idle == 0);
    pool.reset();
}

TEST_CASE("a pool without a home serves each context, one after another and side by side")
{
    loopsafe::testing::two_contexts contexts;
    const auto script = std::make_shared<connect_script>();
    connection_pool<scripted_connector, loopsafe::per_context_pool> pool{
        scripted_connector(script)};
    CHECK_FALSE(pool.home());
    run_on(contexts.a, pool.acquire()).release();
    run_on(contexts.b, pool.acquire()).release();
    const auto in_a = run_on(contexts.a, pool.acquire());
    const auto in_b = run_on(contexts.b, pool.acquire());
    CHECK(number(in_a) == 1);
    CHECK(number(in_b) == 2);
    CHECK(in_a.home() == context_of(contexts.a));
    CHECK(in_b.home() == context_of(contexts.b));
}

TEST_CASE("per_context_pool closes a context's connections with it and serves its successor afresh")
{
    mortal_context context;
    const auto script = std::make_shared<connect_script>();
    connection_pool<scripted_connector, loopsafe::per_context_pool> pool{
        scripted_connector(script)};
    for (int start = 1; start != 4; ++start) {
        run_on(*context, pool.acquire()).release();
        CHECK(number(run_on(*context, pool.acquire())) == start);
        context.reborn();
        CHECK(script->open() == 0);
    }
    CHECK(pool.stats().closed(loopsafe::close_reason::context_died) == 3);
}

connection_pool<scripted_connector, loopsafe::null_pool> at_namespace_scope{
    scripted_connector(std::make_shared<connect_script>()), {.name = "global"}};

TEST_CASE("a pool without a home may sit at namespace scope")
{
    loopsafe::testing::two_contexts contexts;
    CHECK(run_on(contexts.a, at_namespace_scope.acquire()));
    CHECK(run_on(contexts.b, at_namespace_scope.acquire()));
    CHECK(at_namespace_scope.stats().closed() == 2);
}

TEST_CASE("a pool's type is deduced from a home and a connector")
{
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    connection_pool two(context, scripted_connector(script));
    connection_pool three(context.get_executor(), scripted_connector(script), {.max_size = 1});
    CHECK(std::is_same_v<decltype(two), strict_pool>);
    CHECK(std::is_same_v<decltype(three), strict_pool>);
}

// Few options, no lock, and a home: what the library's own policies do not combine.
struct one_at_a_time {
    using mutex_type = loopsafe::no_mutex;
    using clock_type = manual_clock;
    struct options {
        std::size_t max_size = 1;
        std::size_t max_waiting = 1;
        std::chrono::milliseconds acquire_timeout = 1s;
        std::chrono::milliseconds connect_timeout = 1s;
        std::string_view name = "mine";
    };
    static constexpr bool has_home = true;
    static constexpr bool keeps_idle = false;
    static constexpr bool limit_per_context = true;
    static constexpr const char* advice = "ask me";
};
static_assert(loopsafe::pool_policy<one_at_a_time>);

TEST_CASE("a policy of the user's own is a policy")
{
    asio::io_context context;
    asio::io_context other;
    const auto script = std::make_shared<connect_script>();
    connection_pool<scripted_connector, one_at_a_time> pool(context, scripted_connector(script));
    run_on(context, pool.acquire()).release();
    CHECK(script->open() == 0);
    auto lease = run_on(context, pool.acquire());
    CHECK(number(lease) == 2);
    attempt waiting(context, pool.acquire());
    run_until(context, [&] { return pool.stats().waiting == 1; });
    CHECK(attempt(context, pool.acquire()).code() == errc::queue_full);
    manual_clock::advance(context, 1s);
    CHECK(waiting.code() == errc::acquire_timeout);
    const auto error = thrown_by<loopsafe::context_error>([&] { run_on(other, pool.acquire()); });
    CHECK(error.report().resource == "connection pool \"mine\"");
    CHECK(error.report().advice == "ask me");
}

TEST_CASE("a pool without a mutex works the same in one thread")
{
    scripted<loopsafe::basic_keep_alive_pool<loopsafe::no_mutex, manual_clock>> f({.max_size = 1});
    auto lease = f.acquire();
    auto waiting = f.start_waiting();
    lease.release();
    CHECK(number(waiting.lease()) == 1);
    f.pool.close();
    waiting.lease().release();
    CHECK(f.script->open() == 0);
}

// A connector of bare Asio objects: nothing of the library in its connection.
struct bare_connector {
    using connection_type = asio::ip::tcp::socket;

    asio::ip::tcp::endpoint peer;

    asio::awaitable<connection_type> connect(asio::any_io_executor executor) const
    {
        asio::ip::tcp::socket socket(executor);
        co_await socket.async_connect(peer, asio::use_awaitable);
        co_return socket;
    }
    bool is_clean(const connection_type& socket) const noexcept { return socket.is_open(); }
    bool probe(connection_type& socket) const noexcept
    {
        boost::system::error_code ec;
        return socket.available(ec) == 0 && !ec;
    }
};
static_assert(loopsafe::connector<bare_connector>);
static_assert(!loopsafe::can_reset<bare_connector> && !loopsafe::can_abandon<bare_connector>);

TEST_CASE("a connector of bare Asio objects is a connector")
{
    mortal_context context;
    asio::io_context peers;
    asio::ip::tcp::acceptor acceptor(peers, {asio::ip::address_v4::loopback(), 0});
    connection_pool pool(*context, bare_connector{acceptor.local_endpoint()});
    auto lease = run_on(*context, pool.acquire());
    auto peer = acceptor.accept();
    CHECK(asio::write(*lease, asio::buffer("hello", 5)) == 5);
    std::string got(5, ' ');
    asio::read(peer, asio::buffer(got));
    CHECK(got == "hello");
    lease.release();
    CHECK(pool.stats().idle == 1);
    lease = run_on(*context, pool.acquire());
    CHECK(pool.stats().reused == 1);
    context.die();
    CHECK_THROWS_AS(*lease, loopsafe::context_error);
    boost::system::error_code ec;
    CHECK(peer.read_some(asio::buffer(got), ec) == 0);
    CHECK(ec == asio::error::eof);
}

} // namespace

} // namespace connection_pool_home_tests
