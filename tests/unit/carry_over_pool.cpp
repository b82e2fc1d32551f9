// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread at a time.
#include <boost/system/system_error.hpp>

#include <optional>
#include <support/scripted.hpp>
#include <thread>

namespace carry_over_pool_tests {

namespace {

using namespace support;
using loopsafe::pool_event;
using loopsafe::pool_stats;
using loopsafe::testing::mortal_context;

using pool_type = scripted_pool<carry_over>;
using lease_type = pool_type::lease_type;

// A connector that cannot tell where messages end.
struct bare_connector : scripted_connector {
    using scripted_connector::scripted_connector;
    static constexpr bool frames_messages = false;
};

template <class Connector = scripted_connector>
struct fixture {
    using pool_type = loopsafe::connection_pool<Connector, carry_over>;

    explicit fixture(typename pool_type::options limits = {})
    {
        manual_clock::reset();
        pool.emplace(Connector(script), limits);
    }

    auto acquire() { return run_on(*context, pool->acquire()); }
    int acquire_number() { return acquire()->number(); }
    pool_stats stats() const { return pool->stats(); }

    // So many at once, given back in the order of their numbers.
    void use(std::size_t connections)
    {
        std::vector<typename pool_type::lease_type> leases;
        for (std::size_t i = 0; i != connections; ++i)
            leases.push_back(acquire());
        for (auto& lease : leases)
            lease.release();
    }

    std::shared_ptr<connect_script> script = std::make_shared<connect_script>();
    mortal_context context;
    std::optional<pool_type> pool;
};

void pass(std::chrono::nanoseconds time)
{
    manual_clock::move(time, time, time);
}

// What was ever parked is parked, adopted or dropped.
bool adds_up(const pool_stats& s)
{
    return s.times_parked == s.adopted + s.dropped + s.parked &&
           s.connects == s.closed() + s.idle + s.leased + s.connecting + s.parked;
}

TEST_CASE("carry_over_pool carries a connection from each context to the next")
{
    fixture f;
    for (std::uint64_t start = 1; start != 5; ++start) {
        CHECK(f.acquire_number() == 1);
        CHECK(f.acquire_number() == 1);
        f.context.die();
        const auto s = f.stats();
        CHECK(s.parked == 1);
        CHECK(s.idle == 0);
        CHECK(s.times_parked == start);
        CHECK(s.adopted == start - 1);
        CHECK(adds_up(s));
        f.context.reborn();
    }
    CHECK(f.stats().connects == 1);
    CHECK(f.stats().closed() == 0);
    CHECK(f.script->probes == 3);
}

TEST_CASE("carry_over_pool costs nothing of the kind while the context lives")
{
    fixture f;
    for (int i = 0; i != 10; ++i)
        f.acquire();
    CHECK(f.script->detached == 0);
    CHECK(f.script->attached == 0);
    CHECK(f.script->probes == 0);
}

TEST_CASE("an adopted connection is at home in the context that adopted it")
{
    fixture f;
    f.acquire();
    f.context.reborn();
    const auto lease = f.acquire();
    CHECK(lease.home() == loopsafe::context_of(*f.context));
    CHECK(&lease->timer().get_executor().context() == &*f.context);
}

TEST_CASE("what was used last is adopted first, and the rest stays parked")
{
    fixture f;
    f.use(3);
    f.context.reborn();
    auto first = f.acquire();
    CHECK(first->number() == 3);
    CHECK(f.stats().parked == 2);
    auto second = f.acquire();
    CHECK(second->number() == 2);
    CHECK(f.acquire_number() == 1);
    CHECK(f.stats().connects == 3);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("what dead contexts left is shared by all that live")
{
    fixture f;
    f.use(2);
    f.context.die();
    loopsafe::testing::two_contexts alive;
    const auto in_a = run_on(alive.a, f.pool->acquire());
    const auto in_b = run_on(alive.b, f.pool->acquire());
    CHECK(in_a->number() == 2);
    CHECK(in_b->number() == 1);
    CHECK(run_on(alive.a, f.pool->acquire())->number() == 3);
    CHECK(f.stats().adopted == 2);
}

TEST_CASE("no more than max_parked are parked: the one parked longest makes room")
{
    fixture f({.max_parked = 2});
    f.use(3);
    f.context.reborn();
    CHECK(f.script->open() == 2);
    const auto s = f.stats();
    CHECK(s.parked == 2);
    CHECK(s.closed(close_reason::too_many_parked) == 1);
    CHECK(s.dropped == 1);
    auto first = f.acquire();
    CHECK(first->number() == 3);
    CHECK(f.acquire_number() == 2);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("an adopted connection counts for max_size of its context")
{
    fixture f({.max_size = 1, .acquire_timeout = 0ms});
    f.acquire();
    f.context.reborn();
    const auto lease = f.acquire();
    CHECK_THROWS_AS(f.acquire(), loopsafe::pool_error);
    CHECK(f.stats().connects == 1);
}

TEST_CASE("what is not clean when its context dies is not carried")
{
    fixture f;
    f.use(2);
    f.acquire()->clean = false; // found out at its return
    CHECK(f.stats().closed(close_reason::dirty) == 1);
    {
        auto lease = f.acquire();
        auto& connection = *lease;
        lease.release();
        connection.clean = false; // found out when the context dies: it lies on the shelf
    }
    f.context.die();
    CHECK(f.stats().closed(close_reason::dirty) == 2);
    CHECK(f.stats().parked == 0);
    CHECK(f.script->detached == 0);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a connection that is leased when its context dies is closed with it")
{
    fixture f;
    auto lease = f.acquire();
    f.context.die();
    CHECK_FALSE(lease);
    CHECK(f.script->closed == 1);
    CHECK(f.stats().closed(close_reason::context_died) == 1);
    lease.release();
    CHECK(f.stats().parked == 0);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a bare connection is carried only if its last lease ended in release()")
{
    fixture<bare_connector> f;
    f.acquire().release();
    f.context.reborn();
    CHECK(f.stats().parked == 1);

    CHECK(f.acquire()->number() == 1); // adopted, and given back without a word
    CHECK(f.acquire()->number() == 1); // its own context takes it all the same
    f.context.reborn();
    CHECK(f.stats().parked == 0);
    CHECK(f.stats().closed(close_reason::not_released) == 1);
    CHECK(f.acquire()->number() == 2);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a bare connection that nobody has used yet is carried")
{
    fixture<bare_connector> f({.max_size = 1});
    auto lease = f.acquire();
    attempt<decltype(lease)> waiting(*f.context, f.pool->acquire());
    run_until(*f.context, [&] { return f.stats().waiting == 1; });
    lease.discard(); // the place goes on to the one who waits, who connects
    waiting.cancel();
    run_until(*f.context, [&] { return waiting.done(); });
    f.context.die();
    CHECK(f.stats().closed(close_reason::not_released) == 0);
    CHECK(f.stats().parked == f.stats().connects - 1);
}

TEST_CASE("what the connector cannot take out of its context dies with it")
{
    fixture f;
    f.acquire();
    f.script->detach_works = false;
    f.context.die();
    CHECK(f.stats().closed(close_reason::not_detached) == 1);
    CHECK(f.script->open() == 0);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("what cannot be adopted is closed and counted, and the caller gets a new connection")
{
    fixture f;
    f.use(2);
    f.context.reborn();
    f.script->attach_works = false;
    CHECK(f.acquire_number() == 3);
    const auto s = f.stats();
    CHECK(s.closed(close_reason::not_attached) == 2);
    CHECK(s.dropped == 2);
    CHECK(s.parked == 0);
    CHECK(adds_up(s));
}

TEST_CASE("a parked connection whose peer has gone is dropped, and the next one is tried")
{
    fixture f;
    f.use(3);
    f.context.reborn();
    f.script->peer_alive = false;
    CHECK(f.acquire_number() == 4);
    CHECK(f.stats().closed(close_reason::probe_failed) == 3);
    CHECK(f.stats().dropped == 3);
    CHECK(f.script->probes == 3);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("parked connections end by idle_timeout and max_lifetime")
{
    fixture f({.idle_timeout = 10s, .max_lifetime = 15s, .lifetime_jitter = 0.0});
    f.use(2);
    f.context.reborn();
    pass(9s);
    auto lease = f.acquire();
    CHECK(lease->number() == 2);
    pass(2s); // the other one is idle for 11 s
    lease.release();
    auto again = f.acquire();
    CHECK(again->number() == 2);
    CHECK(f.acquire_number() == 3); // the slow path, which looks at what is parked
    CHECK(f.stats().closed(close_reason::idle_too_long) == 1);
    again.release();
    f.context.reborn();
    pass(5s);
    CHECK(f.acquire_number() == 3);
    CHECK(f.stats().closed(close_reason::lived_too_long) == 1);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("what is too old when its context dies is not parked")
{
    fixture f({.idle_timeout = 10s});
    f.acquire();
    pass(10s);
    f.context.die();
    CHECK(f.stats().closed(close_reason::idle_too_long) == 1);
    CHECK(f.script->open() == 0);
}

TEST_CASE("drop_parked, invalidate, close and the end of the pool close what is parked")
{
    fixture f;
    const auto park = [&] {
        f.use(2);
        f.context.reborn();
        REQUIRE(f.stats().parked == 2);
        REQUIRE(f.script->open() == 2);
    };
    park();
    f.pool->drop_parked();
    CHECK(f.script->open() == 0);
    CHECK(f.stats().closed(close_reason::parked_dropped) == 2);
    park();
    f.pool->invalidate();
    CHECK(f.script->open() == 0);
    CHECK(f.stats().closed(close_reason::invalidated) == 2);
    park();
    f.pool->close();
    CHECK(f.script->open() == 0);
    CHECK(f.stats().closed(close_reason::pool_closed) == 2);
    CHECK(f.stats().dropped == 6);
    CHECK(adds_up(f.stats()));

    f.pool.emplace(scripted_connector(f.script));
    park();
    f.pool.reset();
    CHECK(f.script->open() == 0);
}

TEST_CASE("a closed pool parks nothing, nor does one that is gone")
{
    fixture f;
    auto lease = f.acquire();
    f.pool->close();
    lease.release();
    f.context.reborn();
    CHECK(f.stats().parked == 0);

    f.pool.emplace(scripted_connector(f.script));
    auto other = f.acquire();
    f.pool.reset();
    f.context.die();
    other.release();
    CHECK(f.script->open() == 0);
}

TEST_CASE("a pool that is closed, or told to forget, while a context dies parks nothing more")
{
    fixture f;
    f.use(3);
    auto why = close_reason::pool_closed;
    SUBCASE("closed")
    {
        f.pool->on_event([&](const pool_event& e) {
            if (e.what == pool_event::kind::parked)
                f.pool->close();
        });
    }
    SUBCASE("invalidated")
    {
        why = close_reason::invalidated;
        f.pool->on_event([&](const pool_event& e) {
            if (e.what == pool_event::kind::parked)
                f.pool->invalidate();
        });
    }
    f.context.die();
    CHECK(f.stats().times_parked == 1);
    CHECK(f.stats().parked == 0);
    CHECK(f.stats().closed(why) == 3);
    CHECK(f.script->detached == 1);
    CHECK(f.script->open() == 0);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a session that needs a reset has it after it was carried over, too")
{
    fixture f;
    f.script->wants_reset = true;
    f.acquire();
    f.context.reborn();
    CHECK(f.script->resets == 0);
    CHECK(f.acquire_number() == 1);
    CHECK(f.script->resets == 1);
    f.context.reborn();
    f.script->reset_works = false;
    CHECK(f.acquire_number() == 2);
    CHECK(f.stats().closed(close_reason::reset_failed) == 1);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("the hook hears of each connection that is parked, adopted or dropped, with the reason")
{
    fixture f({.name = "orders"});
    names heard;
    f.pool->on_event([&](const pool_event& e) {
        CHECK(e.pool == "orders");
        const std::string why(to_string(e.reason));
        switch (e.what) {
        case pool_event::kind::parked: heard.push_back("parked"); break;
        case pool_event::kind::adopted: heard.push_back("adopted"); break;
        case pool_event::kind::dropped: heard.push_back("dropped: " + why); break;
        case pool_event::kind::closed: heard.push_back("closed: " + why); break;
        case pool_event::kind::connected: heard.push_back("connected"); break;
        case pool_event::kind::returned: break;
        default: heard.push_back("?");
        }
    });
    f.acquire();
    f.context.reborn();
    CHECK(std::exchange(heard, {}) == names{"connected", "parked"});
    f.acquire();
    f.context.reborn();
    CHECK(std::exchange(heard, {}) == names{"adopted", "parked"});
    f.script->peer_alive = false;
    f.acquire();
    CHECK(std::exchange(heard, {}) == names{"dropped: probe_failed", "connected"});
    f.script->detach_works = false;
    f.context.reborn();
    CHECK(std::exchange(heard, {}) == names{"closed: not_detached"});
}

// With a pin still held, the context would wait for its own destructor's caller.
TEST_CASE("a hook that hears of what was closed may destroy the context that it was idle on")
{
    for (const bool for_good : {true, false}) {
        for (const bool on_another_thread : {false, true}) {
            CAPTURE(for_good);
            CAPTURE(on_another_thread);
            fixture f;
            f.pool->on_event([&](const pool_event& e) {
                if (e.what != pool_event::kind::closed)
                    return;
                if (on_another_thread)
                    std::thread([&f] { f.context.die(); }).join();
                else
                    f.context.die();
            });
            f.use(2);
            if (for_good)
                f.pool->close();
            else
                f.pool->invalidate();
            CHECK(f.stats().closed() + f.stats().dropped == 2);
            CHECK(f.script->open() == 0);
            CHECK(adds_up(f.stats()));
        }
    }
}

TEST_CASE("a hook that hears of a lease's end may destroy the context that the lease was of")
{
    fixture f;
    f.pool->on_event([&f](const pool_event& e) {
        if (e.what == pool_event::kind::closed)
            f.context.die();
    });
    f.use(2);
    f.acquire().discard();
    CHECK(f.stats().parked == 1);
    CHECK(f.script->open() == 1);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("an option that makes no sense is refused: max_parked")
{
    const auto refused = thrown_by<boost::system::system_error>([] {
        pool_type{scripted_connector(std::make_shared<connect_script>()), {.max_parked = 0}};
    });
    CHECK(refused.code() == errc::bad_option);
    CHECK(std::string(refused.what()).find("per_context_pool") != std::string::npos);
}

TEST_CASE("a hook may destroy its pool, whatever it is told of, and ends after it has returned")
{
    // What of the hook is still used when the pool is gone.
    struct kept {
        int& ended;
        std::string text = std::string(100, 'k');
        ~kept() { ++ended; }
    };
    struct occasion {
        pool_event::kind told;
        std::function<void(fixture<>&)> happens;
    };
    const std::vector<occasion> occasions{
        {pool_event::kind::closed, [](fixture<>& f) { f.pool->close(); }},
        {pool_event::kind::closed, [](fixture<>& f) { f.pool->invalidate(); }},
        {pool_event::kind::closed, [](fixture<>& f) { f.acquire().discard(); }},
        {pool_event::kind::parked, [](fixture<>& f) { f.context.die(); }},
        {pool_event::kind::dropped,
         [](fixture<>& f) {
             f.context.reborn();
             f.pool->drop_parked();
         }},
        {pool_event::kind::adopted,
         [](fixture<>& f) {
             f.context.reborn();
             f.acquire();
         }},
    };
    for (const auto& [kind, happens] : occasions) {
        CAPTURE(static_cast<int>(kind));
        fixture f;
        int ended = 0;
        int told = 0;
        f.pool->on_event(
            [&, wanted = kind, own = std::make_shared<kept>(ended)](const pool_event& e) {
                if (e.what != wanted)
                    return;
                ++told;
                f.pool.reset();
                CHECK(ended == 0);
                CHECK(own->text == std::string(100, 'k'));
                CHECK(e.pool.empty());
            });
        f.use(3);
        happens(f);
        f.context.die();
        CHECK(told >= 1);
        CHECK(ended == 1);
        CHECK(f.script->open() == 0);
    }
}

} // namespace

} // namespace carry_over_pool_tests
