// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has an operator new of its own.
#include "gated.hpp"

#include <loopsafe/offloaded_connection_pool.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/tcp.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <support/heap.hpp>
#include <utility>
#include <vector>

namespace {

using namespace lifetimes;
using namespace std::chrono_literals;

enum class form { coroutine, token };

std::string to_string(form how)
{
    return how == form::coroutine ? "coroutine" : "token";
}

// How an operation ended that met a failing allocation.
enum class ending { succeeded, told_caller, failed_otherwise, left_run };

struct tally {
    long allocations = 0;
    int endings[4] = {};

    int operator[](ending e) const { return endings[static_cast<int>(e)]; }
};

std::string to_string(const tally& t)
{
    return std::to_string(t.allocations) +
           " allocations; where one fails: " + std::to_string(t[ending::told_caller]) +
           " times the caller is told, " + std::to_string(t[ending::succeeded]) + " it succeeds, " +
           std::to_string(t[ending::failed_otherwise]) + " it fails as it would anyhow, " +
           std::to_string(t[ending::left_run]) + " run() throws and the coroutine is destroyed";
}

bool tells_of_memory(const error_code& ec)
{
    return ec == boost::system::errc::not_enough_memory;
}

// What a pool connects to: a gate,
struct gated_peer {
    gated_connector connector() const { return gated_connector(place); }
    bool help() const { return place->let_through(); }
    void settle(asio::io_context& context) const { context.poll(); }
    void hold_back() const { place->open = false; }
    void welcome_everybody() const
    {
        place->open = true;
        place->wants_reset = false;
    }
    void check_end() const { CHECK(place->opened == place->closed); }

    std::shared_ptr<gate> place = std::make_shared<gate>();
};

// and a TCP port that takes everybody.
struct tcp_peer {
    loopsafe::tcp_connector connector() const
    {
        return loopsafe::tcp_connector(acceptor->local_endpoint());
    }
    bool help() const { return false; }
    void settle(asio::io_context& context) const { context.run(); }
    void welcome_everybody() const {}
    void check_end() const {}

    std::shared_ptr<asio::io_context> home = std::make_shared<asio::io_context>(1);
    std::shared_ptr<asio::ip::tcp::acceptor> acceptor = std::make_shared<asio::ip::tcp::acceptor>(
        *home, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
};

template <class Policy, class Peer = gated_peer>
struct world {
    using peer_type = Peer;
    using pool_type = loopsafe::connection_pool<decltype(Peer().connector()), Policy>;
    using lease_type = typename pool_type::lease_type;
    using options = typename pool_type::options;

    explicit world(const options& limits, Peer p = {})
        : peer(std::move(p)), max_size(limits.max_size)
    {
        if constexpr (Policy::has_home)
            pool.emplace(context, peer.connector(), limits);
        else
            pool.emplace(peer.connector(), limits);
    }

    lease_type acquire_now()
    {
        error_code result;
        std::optional<lease_type> got;
        pool->async_acquire(context.get_executor(),
                            [&](error_code ec, lease_type l) {
                                result = ec;
                                got.emplace(std::move(l));
                            },
                            {.timeout = 0ms});
        while (!got) {
            context.restart();
            context.run_one();
        }
        REQUIRE(result == error_code());
        settle();
        return std::move(*got);
    }

    void settle()
    {
        context.restart();
        peer.settle(context);
    }

    void take_all()
    {
        peer.welcome_everybody();
        while (held.size() < max_size)
            held.push_back(acquire_now());
    }

    // Runs what is ready; how often an exception came out of the context.
    int run()
    {
        for (int thrown = 0;; ++thrown) {
            try {
                settle();
                return thrown;
            } catch (const std::bad_alloc&) { // a failure of a handler: the context goes on
            }
        }
    }

    Peer peer;
    asio::io_context context{1};
    std::size_t max_size;
    std::optional<pool_type> pool;
    std::vector<lease_type> held;
};

// What became of one operation. Its last copy goes with the operation.
struct outcome {
    bool done = false;
    bool failed = false; // there was an allocation to fail
    error_code code;
    bool out_of_memory = false;
};

template <class World>
struct scenario {
    std::string name;
    typename World::options limits = {};
    std::function<void(World&)> prepare = [](World&) {};
    std::function<bool(World&)> help = [](World&) { return false; };
    loopsafe::acquire_options what = {};
};

template <class World>
asio::awaitable<void> acquire_watched(World& w, const scenario<World>& s, long which,
                                      std::shared_ptr<outcome> result)
{
    std::optional<typename World::lease_type> got;
    try {
        const heap::watch on(which);
        got.emplace(co_await w.pool->acquire(s.what));
    } catch (const std::bad_alloc&) {
        result->out_of_memory = true;
    } catch (const boost::system::system_error& e) {
        result->code = e.code();
    }
    result->failed = heap::allocations > which;
    result->done = true;
}

// One attempt, in which the allocation with this number fails. Nothing may be lost by it.
template <class World>
std::optional<ending> attempt(const scenario<World>& s, form how, long which, error_code usual)
{
    const auto descriptors = open_descriptors();
    const auto alive = heap::alive;
    std::optional<ending> end;
    std::optional<typename World::peer_type> peer(std::in_place);
    {
        World w(s.limits, *peer);
        s.prepare(w);
        w.settle();
        asio::cancellation_signal late; // whatever failed has left nothing in it
        auto result = std::make_shared<outcome>();
        int thrown = 0;
        if (how == form::coroutine) {
            asio::co_spawn(w.context, acquire_watched(w, s, which, result), asio::detached);
            do
                thrown += w.run();
            while (s.help(w));
            if (thrown != 0)
                result->failed = true;
        } else {
            const heap::watch on(which);
            try {
                w.pool->async_acquire(w.context.get_executor(),
                                      asio::bind_cancellation_slot(
                                          late.slot(),
                                          [r = result](error_code ec, typename World::lease_type) {
                                              r->code = ec;
                                              r->out_of_memory = tells_of_memory(ec);
                                              r->done = true;
                                          }),
                                      s.what);
            } catch (const std::bad_alloc&) {
                result->out_of_memory = true;
                result->done = true;
            }
            do
                thrown += w.run();
            while (s.help(w));
            result->failed = heap::allocations > which;
        }
        heap::watched = false;
        late.emit(asio::cancellation_type::total);
        thrown += w.run();
        if (result->failed) {
            CHECK((result->done || thrown == 1));
            CHECK(thrown <= 1);
            if (!result->done)
                CHECK(result.use_count() == 1);
            end = !result->done           ? ending::left_run
                  : result->out_of_memory ? ending::told_caller
                  : result->code          ? ending::failed_otherwise
                                          : ending::succeeded;
            if (end == ending::failed_otherwise)
                CHECK(result->code == usual);
        } else {
            CHECK(result->done);
            CHECK(result->code == usual);
        }
        w.held.clear();
        const auto stats = w.pool->stats();
        CHECK(stats.leased == 0);
        CHECK(stats.connecting == 0);
        CHECK(stats.waiting == 0);
        w.take_all();
    }
    peer->check_end();
    peer.reset();
    CHECK(open_descriptors() == descriptors);
    CHECK(heap::alive == alive);
    return end;
}

template <class World>
tally fail_every_allocation(const scenario<World>& s, form how, error_code usual = {})
{
    INFO("scenario: ", s.name);
    INFO("form: ", to_string(how));
    attempt(s, how, 1'000'000, usual); // what is made once is made
    tally t;
    for (;; ++t.allocations) {
        INFO("allocation ", t.allocations);
        const auto end = attempt(s, how, t.allocations, usual);
        if (!end)
            break;
        ++t.endings[static_cast<int>(*end)];
    }
    MESSAGE(s.name, ", ", to_string(how), ": ", to_string(t));
    return t;
}

} // namespace

TEST_CASE_TEMPLATE("an allocation that fails in acquire loses nothing", Policy,
                   loopsafe::keep_alive_pool, loopsafe::per_context_pool, loopsafe::null_pool)
{
    using world_type = world<Policy>;
    const auto let_through = [](world_type& w) { return w.peer.help(); };
    const auto take_all = [](world_type& w) {
        w.take_all();
        w.peer.hold_back();
    };
    const auto after = [&](auto give_back) {
        return [=](world_type& w) {
            if (w.held.empty())
                return let_through(w);
            give_back(w.held.back());
            w.held.clear();
            return true;
        };
    };
    const auto release = after([](auto& lease) { lease.release(); });
    const auto discard = after([](auto& lease) { lease.discard(); });
    for (const auto how : {form::coroutine, form::token}) {
        fail_every_allocation<world_type>({.name = "connecting", .help = let_through}, how);
        fail_every_allocation<world_type>({.name = "waiting for a connection",
                                           .limits = {.max_size = 1},
                                           .prepare = take_all,
                                           .help = release},
                                          how);
        fail_every_allocation<world_type>({.name = "waiting for a place",
                                           .limits = {.max_size = 1},
                                           .prepare = take_all,
                                           .help = discard},
                                          how);
        const auto dirty = [&](world_type& w) {
            take_all(w);
            w.held.clear();
            w.peer.place->wants_reset = true;
        };
        fail_every_allocation<world_type>(
            {.name = "resetting", .limits = {.max_size = 1}, .prepare = dirty, .help = let_through},
            how);
    }
}

TEST_CASE_TEMPLATE("an allocation that fails in a TCP connect loses nothing", Policy,
                   loopsafe::keep_alive_pool, loopsafe::per_context_pool, loopsafe::null_pool)
{
    using world_type = world<Policy, tcp_peer>;
    for (const auto how : {form::coroutine, form::token})
        fail_every_allocation<world_type>({.name = "connecting"}, how);
}

TEST_CASE("an allocation that fails in adopting loses nothing, and parking needs none")
{
    using world_type = world<loopsafe::carry_over_pool, tcp_peer>;
    const auto park = [](world_type& w) {
        std::optional<asio::io_context> context(std::in_place, 1);
        w.pool->async_acquire(context->get_executor(),
                              [](error_code, auto lease) { lease.release(); });
        context->run();
        CHECK(heap::allocations_of([&] { context.reset(); }) == 0);
        REQUIRE(w.pool->stats().parked == 1);
    };
    for (const auto how : {form::coroutine, form::token})
        fail_every_allocation<world_type>({.name = "adopting", .prepare = park}, how);
}

TEST_CASE_TEMPLATE("an allocation that fails in async_close loses nothing", Policy,
                   loopsafe::keep_alive_pool, loopsafe::per_context_pool, loopsafe::null_pool)
{
    using world_type = world<Policy>;
    const auto attempt_close = [](long which) {
        const auto descriptors = open_descriptors();
        const auto alive = heap::alive;
        bool failed = false;
        std::optional<gated_peer> peer(std::in_place);
        {
            world_type w({.max_size = 1}, *peer);
            w.take_all();
            asio::cancellation_signal late;
            auto result = std::make_shared<outcome>();
            int thrown = 0;
            {
                const heap::watch on(which);
                try {
                    w.pool->async_close(
                        std::chrono::hours(1),
                        asio::bind_cancellation_slot(
                            late.slot(), asio::bind_executor(
                                             w.context.get_executor(), [r = result](error_code ec) {
                                                 r->code = ec;
                                                 r->out_of_memory = tells_of_memory(ec);
                                                 r->done = true;
                                             })));
                } catch (const std::bad_alloc&) {
                    result->out_of_memory = true;
                    result->done = true;
                }
                thrown += w.run();
                w.held.clear();
                thrown += w.run();
                failed = heap::allocations > which;
            }
            late.emit(asio::cancellation_type::total);
            thrown += w.run();
            CHECK((result->done || thrown == 1));
            CHECK(result.use_count() == 1);
            CHECK((failed || !result->code));
            CHECK((result->out_of_memory || !result->code));
            CHECK(w.pool->stats().leased == 0);
            w.pool->close();
            CHECK(w.pool->stats().idle == 0);
        }
        peer->check_end();
        peer.reset();
        CHECK(open_descriptors() == descriptors);
        CHECK(heap::alive == alive);
        return failed;
    };
    attempt_close(1'000'000);
    long allocations = 0;
    for (; attempt_close(allocations); ++allocations) {}
    CHECK(allocations > 3);
}

TEST_CASE_TEMPLATE("giving back, closing and dying allocate nothing", Policy,
                   loopsafe::keep_alive_pool, loopsafe::per_context_pool, loopsafe::null_pool)
{
    using world_type = world<Policy>;
    std::optional<world_type> w(std::in_place, typename world_type::options{.max_size = 4});
    const auto count = [&](auto f) {
        w->take_all();
        return heap::allocations_of(f);
    };
    CHECK(count([&] { w->held.back().release(); }) == 0);
    w->held.pop_back();
    CHECK(count([&] { w->held.back().discard(); }) == 0);
    w->held.pop_back();
    w->take_all();
    bool handed_on = false;
    w->pool->async_acquire(w->context.get_executor(),
                           [&](error_code ec, auto) { handed_on = !ec; });
    w->settle();
    REQUIRE(w->pool->stats().waiting == 1);
    CHECK(count([&] { w->held.back().release(); }) == 0);
    w->held.pop_back();
    w->settle();
    CHECK(handed_on);
    CHECK(count([&] { w->pool->invalidate(); }) == 0);
    CHECK(count([&] { w->pool->close(); }) == 0);
    auto held = std::move(w->held);

    const auto peer = w->peer;
    w.emplace(typename world_type::options{.max_size = 4}, peer);
    w->take_all();
    held.push_back(std::move(w->held.back()));
    w->held.pop_back();
    CHECK(heap::allocations_of([&] { w.reset(); }) == 0); // the leases, the pool, the context
    CHECK(heap::allocations_of([&] { held.clear(); }) == 0);
    peer.check_end();
}

namespace {

// What an offloaded function and its caller leave behind.
struct offload_outcome {
    bool done = false;
    bool refused = false; // no thread could be started
    bool out_of_memory = false;
    int result = 0;

    void take(const std::exception_ptr& error, int value)
    {
        done = true;
        result = value;
        try {
            if (error != nullptr)
                std::rethrow_exception(error);
        } catch (const std::bad_alloc&) {
            out_of_memory = true;
        } catch (const loopsafe::offload_error& e) {
            refused = e.code() == loopsafe::errc::no_thread;
        }
    }
};

asio::awaitable<int> call_and_wait(loopsafe::worker_threads& workers, std::shared_ptr<int> argument)
{
    co_return co_await loopsafe::offload(
        {.workers = &workers}, [](const std::shared_ptr<int>& p) { return *p; },
        std::move(argument));
}

} // namespace

TEST_CASE("an allocation that fails in offload loses neither the call nor the thread")
{
    for (const auto how : {form::coroutine, form::token}) {
        CAPTURE(to_string(how));
        const auto attempt = [&](long which) {
            bool failed = false;
            {
                loopsafe::worker_threads workers({.max_threads = 1});
                auto argument = std::make_shared<int>(42);
                auto result = std::make_shared<offload_outcome>();
                {
                    asio::io_context context(1);
                    int thrown = 0;
                    const heap::watch on(which);
                    try {
                        const auto handler = [r = result](const std::exception_ptr& e, int value) {
                            r->take(e, value);
                        };
                        if (how == form::coroutine)
                            asio::co_spawn(context, call_and_wait(workers, argument), handler);
                        else
                            loopsafe::async_offload(
                                context.get_executor(), [argument] { return *argument; }, handler);
                    } catch (const std::bad_alloc&) {
                        result->done = result->out_of_memory = true;
                    }
                    try {
                        context.run();
                    } catch (const std::bad_alloc&) {
                        ++thrown; // out of Asio; the coroutine is destroyed with the context
                    }
                    failed = heap::allocations > which;
                    CHECK((result->done || thrown == 1));
                    CHECK(result->done ==
                          (result->result == 42 || result->refused || result->out_of_memory));
                    CHECK((failed || result->result == 42));
                }
                CHECK(result.use_count() == 1);
                CHECK(workers.join(loopsafe::never));
                CHECK(workers.stats().running == 0);
                CHECK(argument.use_count() == 1);
            }
            return failed;
        };
        attempt(1'000'000);
        long allocations = 0;
        for (; attempt(allocations); ++allocations) {}
        CHECK(allocations > 5);
    }
}

TEST_CASE("an allocation that fails while a function waits for its connection leaves it usable")
{
    using loopsafe::testing::connect_script;
    using loopsafe::testing::scripted_connector;
    using pool_type = loopsafe::connection_pool<scripted_connector, loopsafe::keep_alive_pool,
                                                loopsafe::thread_offload>;
    const auto work = [](asio::any_io_executor executor) -> asio::awaitable<void> {
        co_await asio::post(executor, asio::use_awaitable);
        asio::steady_timer timer(executor, std::chrono::milliseconds(0));
        co_await timer.async_wait(asio::use_awaitable);
    };
    const auto wait_once = [&work](auto& c) {
        c.wait(work(c.get_executor()), std::chrono::hours(1));
    };
    const auto attempt = [&](long which) {
        const auto script = std::make_shared<connect_script>();
        bool out_of_memory = false;
        bool failed = false;
        const auto fail = [&](auto& c) {
            const heap::watch on(which);
            try {
                wait_once(c);
            } catch (const std::bad_alloc&) {
                out_of_memory = true;
            }
            failed = heap::allocations > which;
        };
        {
            loopsafe::worker_threads none({.max_threads = 0}); // so it happens on this thread
            pool_type pool(scripted_connector(script), {}, &none);
            loopsafe::run([&]() -> asio::awaitable<void> {
                auto lease = co_await pool.acquire();
                co_await lease.run(fail);
                co_await lease.run(wait_once);
            });
            CHECK(pool.stats().idle == 1);
        }
        CHECK(script->opened == script->closed);
        CHECK((failed || !out_of_memory));
        return failed;
    };
    attempt(1'000'000);
    long allocations = 0;
    for (; attempt(allocations); ++allocations) {}
    CHECK(allocations > 3);
}
