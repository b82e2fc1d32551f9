// SPDX-License-Identifier: BSL-1.0
#include "race.hpp"
#include "when_dying.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/context_bound.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace other_thread_tests {

// A context is run and destroyed by one thread, while another one touches objects that live on it
// through the pool, a lease or a context_bound.

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// A connection without a peer: a socket, registered with the reactor of its context.
class socket_connection {
public:
    socket_connection(const asio::any_io_executor& executor, std::atomic<int>& open)
        : socket_(executor, tcp::v4()), open_(&open)
    {
        ++open;
    }
    socket_connection(socket_connection&& other) noexcept
        : socket_(std::move(other.socket_)), open_(std::exchange(other.open_, nullptr))
    {
    }
    socket_connection& operator=(socket_connection&&) = delete;
    ~socket_connection()
    {
        if (open_ != nullptr)
            --*open_;
    }

private:
    tcp::socket socket_;
    std::atomic<int>* open_;
};

class socket_connector {
public:
    using connection_type = socket_connection;

    explicit socket_connector(std::atomic<int>& open) : open_(&open) {}

    asio::awaitable<socket_connection> connect(asio::any_io_executor executor) const
    {
        co_return socket_connection(executor, *open_);
    }
    bool is_clean(const socket_connection&) const noexcept { return true; }
    bool probe(socket_connection&) const noexcept { return true; }

private:
    std::atomic<int>* open_;
};

using pool = loopsafe::connection_pool<socket_connector, loopsafe::per_context_pool>;
using lease = pool::lease_type;

struct pool_scene {
    std::atomic<int> open{0};
    std::optional<pool> connections;
    std::array<std::vector<lease>, race::owners> leases;
    int left_open = 0;
    std::size_t left_leased = 0;

    void make_pool() { connections.emplace(socket_connector(open)); }

    void acquire(std::size_t owner, race::contexts& on)
    {
        for (auto& each : on.all) {
            for (int i = 0; i != 3; ++i)
                leases[owner].push_back(loopsafe::testing::run_on(*each, connections->acquire()));
        }
    }

    void end_leases()
    {
        for (auto& each : leases)
            each.clear();
    }

    void look()
    {
        left_open += open;
        if (connections)
            left_leased += connections->stats().leased + connections->stats().idle;
    }

    void check()
    {
        CHECK(left_open == 0);
        CHECK(left_leased == 0);
    }
};

} // namespace

TEST_CASE("another thread closes idle connections while their contexts die (rule 2)")
{
    pool_scene s;
    const auto fill = [&](std::size_t owner, race::contexts& on) {
        s.acquire(owner, on);
        s.leases[owner].clear();
    };
    SUBCASE("by invalidate()")
    {
        race::run([&] { s.make_pool(); }, fill,
                  [&] {
                      for (std::size_t i = 0; i != race::owners * race::contexts::size; ++i)
                          s.connections->invalidate();
                  },
                  [&] { s.look(); });
    }
    SUBCASE("by close()")
    {
        race::run([&] { s.make_pool(); }, fill, [&] { s.connections->close(); }, [&] { s.look(); });
    }
    SUBCASE("by destroying the pool")
    {
        race::run([&] { s.make_pool(); }, fill, [&] { s.connections.reset(); }, [&] { s.look(); });
    }
    s.check();
}

TEST_CASE("leases end on another thread while their contexts die (rule 2)")
{
    pool_scene s;
    const auto fill = [&](std::size_t owner, race::contexts& on) { s.acquire(owner, on); };
    SUBCASE("and are given back")
    {
        race::run([&] { s.make_pool(); }, fill, [&] { s.end_leases(); }, [&] { s.look(); });
    }
    SUBCASE("and are discarded")
    {
        const auto discard = [&] {
            for (auto& some : s.leases) {
                for (auto& each : some)
                    each.discard();
            }
        };
        race::run([&] { s.make_pool(); }, fill, discard,
                  [&] {
                      s.end_leases();
                      s.look();
                  });
    }
    SUBCASE("when their pool is gone")
    {
        race::run([&] { s.make_pool(); }, fill,
                  [&] {
                      s.connections.reset();
                      s.end_leases();
                  },
                  [&] { s.look(); });
    }
    SUBCASE("and their pool is destroyed afterwards")
    {
        race::run([&] { s.make_pool(); }, fill,
                  [&] {
                      s.end_leases();
                      s.connections.reset();
                  },
                  [&] { s.look(); });
    }
    s.check();
}

TEST_CASE("a context_bound is destroyed on another thread while its context dies (rule 2)")
{
    using bound = loopsafe::context_bound<socket_connection>;
    std::array<std::vector<bound>, race::owners> handles;
    std::atomic<int> open{0};
    int left_open = 0;
    const auto fill = [&](std::size_t owner, race::contexts& on) {
        for (auto& each : on.all) {
            for (int i = 0; i != 3; ++i)
                handles[owner].emplace_back(*each, each->get_executor(), open);
        }
    };
    const auto clear = [&] {
        for (auto& some : handles)
            some.clear();
    };
    race::run([] {}, fill, clear, [&] { left_open += open; });
    CHECK(left_open == 0);
}

namespace {

// A context dies while another thread is in the destructor of something that lives there. Both
// write `touched`, without a lock: unless the context waits, it is first or there is a data race.
struct overlap {
    std::latch begun{1};
    int touched = 0;
    int touched_at_death = 0;
};

// Its destructor goes on when the one of its context has begun.
class lingering {
public:
    lingering(loopsafe::context_ref home, overlap& at) : home_(std::move(home)), at_(&at) {}
    lingering(lingering&& other) noexcept
        : home_(std::move(other.home_)), at_(std::exchange(other.at_, nullptr))
    {
    }
    lingering& operator=(lingering&&) = delete;
    ~lingering()
    {
        if (at_ == nullptr)
            return;
        at_->begun.count_down();
        while (home_.alive())
            std::this_thread::yield();
        ++at_->touched;
    }

private:
    loopsafe::context_ref home_;
    overlap* at_;
};

class lingering_connector {
public:
    using connection_type = lingering;

    explicit lingering_connector(overlap& at) : at_(&at) {}

    asio::awaitable<lingering> connect(asio::any_io_executor executor) const
    {
        co_return lingering(loopsafe::context_of(executor), *at_);
    }
    bool is_clean(const lingering&) const noexcept { return true; }
    bool probe(lingering&) const noexcept { return true; }

private:
    overlap* at_;
};

// `make(context)` gives what another thread then calls; it destroys something of the context.
template <class Make>
void die_while_another_thread_destroys(overlap& at, Make make)
{
    std::optional<asio::io_context> context(std::in_place, 1);
    lifetimes::when_dying look(*context, [&] { at.touched_at_death = at.touched++; });
    std::jthread other(make(*context));
    at.begun.wait();
    context.reset();
    other.join();
    CHECK(at.touched_at_death == 1);
    CHECK(at.touched == 2);
}

} // namespace

TEST_CASE("a dying context waits for the thread that destroys a connection of its own (rule 2)")
{
    using lingering_pool =
        loopsafe::connection_pool<lingering_connector, loopsafe::per_context_pool>;
    overlap at;
    std::optional<lingering_pool> connections(std::in_place, lingering_connector(at));
    std::optional<lingering_pool::lease_type> lease;
    const auto when_idle = [&](std::function<void()> intrude) {
        die_while_another_thread_destroys(at, [&](asio::io_context& context) {
            loopsafe::testing::run_on(context, connections->acquire()).release();
            return intrude;
        });
    };
    const auto when_leased = [&](std::function<void()> intrude) {
        die_while_another_thread_destroys(at, [&](asio::io_context& context) {
            lease.emplace(loopsafe::testing::run_on(context, connections->acquire()));
            return intrude;
        });
    };
    SUBCASE("that is idle, by invalidate()")
    {
        when_idle([&] { connections->invalidate(); });
    }
    SUBCASE("that is idle, by close()")
    {
        when_idle([&] { connections->close(); });
    }
    SUBCASE("that is idle, with its pool")
    {
        when_idle([&] { connections.reset(); });
    }
    SUBCASE("that is leased, with its lease")
    {
        when_leased([&] { lease->discard(); });
    }
    SUBCASE("that is leased, with its lease after its pool")
    {
        when_leased([&] {
            connections.reset();
            lease.reset();
        });
    }
}

TEST_CASE("a dying context waits for the thread that destroys a context_bound of its own (rule 2)")
{
    overlap at;
    loopsafe::context_bound<lingering> bound;
    die_while_another_thread_destroys(at, [&](asio::io_context& context) {
        bound = loopsafe::context_bound<lingering>(context, loopsafe::context_of(context), at);
        return [&] { bound.reset(); };
    });
}

namespace {

// Does something when the frame that holds it is destroyed.
class at_the_end {
public:
    explicit at_the_end(std::function<void()> act) : act_(std::move(act)) {}
    at_the_end(const at_the_end&) = delete;
    ~at_the_end() { act_(); }

private:
    std::function<void()> act_;
};

asio::awaitable<void> sleep_holding(std::function<void(asio::any_io_executor)> act)
{
    const auto executor = co_await asio::this_coro::executor;
    const at_the_end guard([&] { act(executor); });
    asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

// Destroys a context that has met nothing of this library, with a frame that does `act` then.
void die_doing(loopsafe::testing::mortal_context& context,
               std::function<void(asio::any_io_executor)> act)
{
    asio::co_spawn(*context, sleep_holding(std::move(act)), asio::detached);
    context->poll();
    context.die();
}

} // namespace

TEST_CASE("a context first asked for by a dying frame is dead afterwards, also at a reused address "
          "(rule 2)")
{
    loopsafe::testing::mortal_context context;
    loopsafe::context_ref first;
    die_doing(context, [&](const asio::any_io_executor& executor) {
        first = loopsafe::context_of(executor);
    });
    REQUIRE(first);
    CHECK_FALSE(first.alive());
    context.reborn();
    CHECK_FALSE(first.is(*context));
    CHECK(first.id() != loopsafe::context_of(*context).id());
}

TEST_CASE(
    "a pool first asked by a dying frame serves the next context at the same address (rule 2)")
{
    loopsafe::testing::mortal_context context;
    std::atomic<int> open{0};
    pool connections{socket_connector(open)};
    bool answered = false;
    die_doing(context, [&](const asio::any_io_executor& executor) {
        connections.async_acquire(executor,
                                  [&](const loopsafe::error_code&, lease) { answered = true; });
    });
    CHECK_FALSE(answered);
    CHECK(connections.stats().connecting == 0);
    CHECK(connections.stats().waiting == 0);
    context.reborn();
    const auto mine = loopsafe::testing::run_on(*context, connections.acquire());
    CHECK(open == 1);
    CHECK(mine.home().is(*context));
}

TEST_CASE("a context_bound made by a dying frame holds nothing afterwards (rule 2)")
{
    loopsafe::testing::mortal_context context;
    loopsafe::context_bound<asio::steady_timer> bound;
    die_doing(context, [&](const asio::any_io_executor& executor) {
        bound = loopsafe::context_bound<asio::steady_timer>(executor, executor);
    });
    REQUIRE(bound);
    context.reborn();
    CHECK_THROWS_AS(bound.get(context->get_executor()), loopsafe::context_error);
}

TEST_CASE("a service that Asio makes and drops, when two threads meet a context, does not end it "
          "(rule 2)")
{
    asio::io_context context;
    const auto home = loopsafe::context_of(context);
    loopsafe::residents::of(context.get_executor());
    {
        const loopsafe::residents second(context);
        const loopsafe::detail::identity another(context);
    }
    CHECK(home.alive());
    CHECK(loopsafe::context_of(context) == home);
    std::atomic<int> open{0};
    pool connections{socket_connector(open)};
    CHECK(loopsafe::testing::run_on(context, connections.acquire()).home() == home);
}

TEST_CASE("two threads that meet a context at the same time find it alive (rule 2)")
{
    std::optional<asio::io_context> context;
    std::barrier gate(2);
    std::array<int, 2> alive{};
    const auto meet = [&](std::size_t self) {
        for (int round = 0; round != race::rounds; ++round) {
            if (self == 0)
                context.emplace();
            gate.arrive_and_wait();
            const auto executor = context->get_executor();
            loopsafe::residents::of(executor);
            gate.arrive_and_wait();
            alive[self] += loopsafe::context_of(executor).alive() ? 1 : 0;
            gate.arrive_and_wait();
        }
    };
    std::jthread other(meet, 1);
    meet(0);
    other.join();
    CHECK(alive[0] == race::rounds);
    CHECK(alive[1] == race::rounds);
}

} // namespace other_thread_tests
