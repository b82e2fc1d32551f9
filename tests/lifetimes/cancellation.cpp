// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "gated.hpp"

#include <loopsafe/tcp.hpp>
#include <loopsafe/testing/manual_clock.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <support/texts.hpp>
#include <vector>

namespace cancellation_tests {

namespace {

using namespace lifetimes;
using namespace std::chrono_literals;
using asio::cancellation_type;
using loopsafe::testing::manual_clock;
using support::code_of;

using strict = loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, manual_clock>;
using shelves = loopsafe::basic_per_context_pool<loopsafe::pool_mutex, manual_clock>;
using nothing_kept = loopsafe::basic_null_pool<loopsafe::pool_mutex, manual_clock>;

// What a pool connects to in these tests: connections that wait at a gate,
struct gated_peer {
    using connector = gated_connector;

    connector make() const { return connector(place); }
    void welcome_everybody() const
    {
        place->open = true;
        place->wants_reset = false;
    }
    void check_end() const { CHECK(place->opened == place->closed); }

    std::shared_ptr<gate> place = std::make_shared<gate>();
};

// and TCP connections to a port with room for the ones it does not accept, or without.
struct listening_peer {
    using connector = loopsafe::tcp_connector;

    connector make() const { return connector(acceptor.local_endpoint()); }
    void be_silent()
    {
        acceptor.listen(0);
        filling.connect(acceptor.local_endpoint()); // the next one gets no answer
    }
    void welcome_everybody() { acceptor.listen(); }
    void check_end() const {}

    asio::io_context context{1};
    asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    asio::ip::tcp::socket filling{context};
};

struct named_peer : listening_peer {
    connector make() const
    {
        return {"127.0.0.1", std::to_string(acceptor.local_endpoint().port())};
    }
};

enum class form { coroutine, token, token_on_context };

std::string to_string(form how)
{
    return how == form::coroutine ? "coroutine" : how == form::token ? "token" : "token on context";
}

// One context, one pool and one operation, moved forward a handler at a time.
template <class Peer, class Policy>
struct world {
    using peer_type = Peer;
    using pool_type = loopsafe::connection_pool<typename Peer::connector, Policy>;
    using lease_type = typename pool_type::lease_type;
    using options = typename pool_type::options;

    explicit world(const options& limits) : max_size(limits.max_size)
    {
        manual_clock::reset();
        if constexpr (Policy::has_home)
            pool.emplace(*context, peer.make(), limits);
        else
            pool.emplace(peer.make(), limits);
    }

    bool poll_one()
    {
        context->restart();
        return context->poll_one() != 0;
    }

    void settle()
    {
        while (poll_one()) {}
    }

    // An acquire of the test's own, which nothing must hinder.
    lease_type acquire_on(asio::io_context& other)
    {
        std::optional<lease_type> got;
        error_code failure;
        pool->async_acquire(other.get_executor(),
                            [&](error_code ec, lease_type l) {
                                failure = ec;
                                got.emplace(std::move(l));
                            },
                            {.timeout = 0ms});
        while (!got) {
            other.restart();
            REQUIRE(other.run_one() != 0);
        }
        REQUIRE_MESSAGE(!failure, failure.message());
        return std::move(*got);
    }

    void hold_all()
    {
        while (held.size() < max_size)
            held.push_back(acquire_on(*context));
    }

    void advance(manual_clock::duration by)
    {
        manual_clock::advance(*context, by);
        context->restart();
        context->run_one();
    }

    void finish(error_code ec)
    {
        REQUIRE(!done);
        done = true;
        code = ec;
    }

    template <class Token>
    auto bound(Token token)
    {
        return asio::bind_cancellation_slot(signal.slot(),
                                            asio::bind_executor(context->get_executor(), token));
    }

    template <class Begin, class Coroutine>
    void start(form how, Begin begin, Coroutine coroutine)
    {
        switch (how) {
        case form::coroutine:
            asio::co_spawn(*context, coroutine(),
                           bound([this](std::exception_ptr e) { finish(code_of(e)); }));
            break;
        case form::token: begin(); break;
        case form::token_on_context: asio::post(*context, begin); break;
        }
    }

    void start_acquire(form how)
    {
        const auto begin = [this] {
            pool->async_acquire(bound([this](error_code ec, lease_type l) {
                if (!ec)
                    result.emplace(std::move(l));
                finish(ec);
            }));
        };
        start(how, begin, [this]() -> asio::awaitable<void> { return acquire(); });
    }

    asio::awaitable<void> acquire() { result.emplace(co_await pool->acquire()); }

    void start_close(form how)
    {
        const auto begin = [this] {
            pool->async_close(1h, bound([this](error_code ec) { finish(ec); }));
        };
        start(how, begin, [this] { return pool->async_close(1h, asio::use_awaitable); });
    }

    std::optional<asio::io_context> context{std::in_place, 1};
    Peer peer;
    std::size_t max_size;
    std::optional<pool_type> pool;
    std::vector<lease_type> held;
    asio::cancellation_signal signal;
    bool done = false;
    error_code code;
    std::optional<lease_type> result;
};

// How an operation begins, and what helps it on where it can only wait.
template <class World>
struct scenario {
    std::string name;
    typename World::options limits;
    std::function<void(World&)> prepare;
    std::function<bool(World&)> help;
    void (World::*start)(form) = &World::start_acquire;
    bool resumes_by_itself = false; // a wait for the operating system needs no help
};

// One handler or, where none is ready, one help. Whether it was a help.
template <class World>
bool step(World& w, const scenario<World>& s)
{
    if (w.poll_one())
        return false;
    if (s.resumes_by_itself) {
        REQUIRE(w.context->run_one() != 0);
        return false;
    }
    REQUIRE(s.help(w));
    return true;
}

// The steps an operation takes when nobody interferes, true for a help, and how it ends.
struct course {
    std::vector<bool> steps;
    error_code end;
};

template <class World>
course undisturbed(const scenario<World>& s, form how)
{
    World w(s.limits);
    s.prepare(w);
    w.settle();
    (w.*s.start)(how);
    std::vector<bool> steps;
    while (!w.done)
        steps.push_back(step(w, s));
    return {steps, w.code};
}

template <class World>
void nothing_is_held(World& w)
{
    const auto now = w.pool->stats();
    CHECK(now.leased == 0);
    CHECK(now.connecting == 0);
    CHECK(now.waiting == 0);
    if (!w.context)
        CHECK(now.idle == 0);
}

// Ends all leases; then as many acquires as the pool allows must succeed, without waiting.
template <class World>
void nothing_is_lost(World& w, const scenario<World>& s)
{
    w.peer.welcome_everybody();
    w.result.reset();
    w.held.clear();
    nothing_is_held(w);
    if (s.start == &World::start_close)
        return;
    if (w.context) {
        w.hold_all();
    } else if (!w.pool->home()) {
        asio::io_context successor(1);
        while (w.held.size() < w.max_size)
            w.held.push_back(w.acquire_on(successor));
        w.held.clear();
    }
    w.held.clear();
    nothing_is_held(w);
}

enum class disturbance { cancel, cancel_then_help, destroy_context };

template <class World>
void disturb(const scenario<World>& s, form how, const course& usual, std::size_t after,
             disturbance what, cancellation_type type = {})
{
    const auto descriptors = open_descriptors();
    {
        World w(s.limits);
        s.prepare(w);
        w.settle();
        (w.*s.start)(how);
        for (std::size_t made = 0; made != after; ++made)
            step(w, s);
        REQUIRE(!w.done);
        if (what == disturbance::destroy_context) {
            w.context.reset();
            CHECK(!w.done);
        } else {
            w.signal.emit(type);
            if (what == disturbance::cancel_then_help)
                s.help(w);
            w.settle();
            while (!w.done && s.resumes_by_itself && w.context->run_one() != 0) {}
            CHECK_MESSAGE(w.done, "it must end without help");
            const bool too_late = what == disturbance::cancel_then_help || !usual.steps[after];
            if (!too_late || w.code != usual.end)
                CHECK(w.code == asio::error::operation_aborted);
        }
        nothing_is_lost(w, s);
        w.pool.reset();
        w.context.reset();
        w.peer.check_end();
    }
    CHECK(open_descriptors() == descriptors);
}

template <class World>
int disturb_everywhere(const scenario<World>& s)
{
    INFO("scenario: ", s.name);
    int moments = 0;
    for (const auto how : {form::coroutine, form::token, form::token_on_context}) {
        INFO("form: ", to_string(how));
        const auto usual = undisturbed(s, how);
        std::vector types{cancellation_type::terminal};
        if (how != form::coroutine) { // whose default filter lets only terminal through
            types.push_back(cancellation_type::partial);
            types.push_back(cancellation_type::total);
        }
        // Before its first step, what is posted to the context has not begun.
        for (std::size_t k = how == form::token_on_context ? 1 : 0; k < usual.steps.size(); ++k) {
            INFO("after step ", k, " of ", usual.steps.size());
            disturb(s, how, usual, k, disturbance::destroy_context);
            ++moments;
            for (const auto type : types) {
                INFO("cancellation type ", static_cast<unsigned>(type));
                disturb(s, how, usual, k, disturbance::cancel, type);
                ++moments;
                if (usual.steps[k]) {
                    disturb(s, how, usual, k, disturbance::cancel_then_help, type);
                    ++moments;
                }
            }
        }
    }
    return moments;
}

template <class World>
void keep_all_idle(World& w)
{
    w.peer.place->open = true;
    w.hold_all();
    w.held.clear();
    w.peer.place->open = false;
    w.peer.place->wants_reset = true;
}

template <class World>
void take_all(World& w)
{
    w.peer.place->open = true;
    w.hold_all();
    w.peer.place->open = false;
}

template <class World>
void set_nothing_up(World&)
{
}

template <class World>
bool open_gate(World& w)
{
    return w.peer.place->let_through();
}

} // namespace

TEST_CASE_TEMPLATE("cancelling an acquire that waits loses no connection and no place", Policy,
                   strict, shelves, nothing_kept)
{
    using world_type = world<gated_peer, Policy>;
    int moments = 0;
    moments += disturb_everywhere<world_type>({.name = "a connection comes back",
                                               .limits = {.max_size = 1},
                                               .prepare = take_all<world_type>,
                                               .help = [](world_type& w) {
                                                   if (w.held.empty())
                                                       return open_gate(w);
                                                   w.held.clear();
                                                   return true;
                                               }});
    moments += disturb_everywhere<world_type>({.name = "a place comes back",
                                               .limits = {.max_size = 2},
                                               .prepare = take_all<world_type>,
                                               .help = [](world_type& w) {
                                                   if (w.held.size() < 2)
                                                       return open_gate(w);
                                                   w.held.back().discard();
                                                   w.held.pop_back();
                                                   return true;
                                               }});
    moments += disturb_everywhere<world_type>({.name = "nothing comes back in time",
                                               .limits = {.max_size = 1, .acquire_timeout = 1s},
                                               .prepare = take_all<world_type>,
                                               .help = [](world_type& w) {
                                                   w.advance(1s);
                                                   return true;
                                               }});
    moments += disturb_everywhere<world_type>({.name = "no room to wait",
                                               .limits = {.max_size = 1, .max_waiting = 0},
                                               .prepare = take_all<world_type>,
                                               .help = open_gate<world_type>});
    MESSAGE("moments: ", moments);
}

TEST_CASE_TEMPLATE("cancelling an acquire that connects loses no connection and no place", Policy,
                   strict, shelves, nothing_kept)
{
    using world_type = world<gated_peer, Policy>;
    int moments = 0;
    moments += disturb_everywhere<world_type>({.name = "the connection is made",
                                               .limits = {.max_size = 2},
                                               .prepare = set_nothing_up<world_type>,
                                               .help = open_gate<world_type>});
    moments += disturb_everywhere<world_type>({.name = "the deadline for connecting passes",
                                               .limits = {.max_size = 2, .connect_timeout = 1s},
                                               .prepare = set_nothing_up<world_type>,
                                               .help = [](world_type& w) {
                                                   w.advance(1s);
                                                   return true;
                                               }});
    MESSAGE("moments: ", moments);
}

TEST_CASE_TEMPLATE(
    "cancelling an acquire that resets a connection loses no connection and no place", Policy,
    strict, shelves)
{
    using world_type = world<gated_peer, Policy>;
    int moments = 0;
    moments += disturb_everywhere<world_type>({.name = "the reset works",
                                               .limits = {.max_size = 2},
                                               .prepare = keep_all_idle<world_type>,
                                               .help = open_gate<world_type>});
    moments += disturb_everywhere<world_type>({.name = "the reset fails, a new connection is made",
                                               .limits = {.max_size = 2},
                                               .prepare = keep_all_idle<world_type>,
                                               .help = [](world_type& w) {
                                                   return w.peer.place->let_through(
                                                       w.pool->stats().closed() == 0);
                                               }});
    moments += disturb_everywhere<world_type>(
        {.name = "the deadline for resetting passes, a new connection is made",
         .limits = {.max_size = 1, .connect_timeout = 1s},
         .prepare = keep_all_idle<world_type>,
         .help = [](world_type& w) {
             if (w.pool->stats().closed() != 0)
                 return open_gate(w);
             w.advance(1s);
             return true;
         }});
    MESSAGE("moments: ", moments);
}

TEST_CASE_TEMPLATE("cancelling a close that drains leaves the pool closed and loses no lease",
                   Policy, strict, shelves, nothing_kept)
{
    using world_type = world<gated_peer, Policy>;
    int moments = 0;
    moments += disturb_everywhere<world_type>({.name = "the leases come back",
                                               .limits = {.max_size = 2},
                                               .prepare = take_all<world_type>,
                                               .help =
                                                   [](world_type& w) {
                                                       if (w.held.empty())
                                                           return false;
                                                       w.held.pop_back();
                                                       return true;
                                                   },
                                               .start = &world_type::start_close});
    moments += disturb_everywhere<world_type>({.name = "the leases stay out",
                                               .limits = {.max_size = 1},
                                               .prepare = take_all<world_type>,
                                               .help =
                                                   [](world_type& w) {
                                                       w.advance(1h);
                                                       return true;
                                                   },
                                               .start = &world_type::start_close});
    MESSAGE("moments: ", moments);
}

TEST_CASE_TEMPLATE("cancelling a TCP connect loses no descriptor and no place", Policy, strict,
                   shelves, nothing_kept)
{
    using world_type = world<listening_peer, Policy>;
    using named_world_type = world<named_peer, Policy>;
    int moments = 0;
    moments += disturb_everywhere<world_type>({.name = "the peer listens",
                                               .limits = {.max_size = 2},
                                               .prepare = set_nothing_up<world_type>,
                                               .help = {},
                                               .resumes_by_itself = true});
    moments += disturb_everywhere<named_world_type>({.name = "the peer has a name and listens",
                                                     .limits = {.max_size = 2},
                                                     .prepare = set_nothing_up<named_world_type>,
                                                     .help = {},
                                                     .resumes_by_itself = true});
    moments += disturb_everywhere<world_type>({.name = "the peer is silent",
                                               .limits = {.max_size = 2, .connect_timeout = 1s},
                                               .prepare = [](world_type& w) { w.peer.be_silent(); },
                                               .help =
                                                   [](world_type& w) {
                                                       w.advance(1s);
                                                       return true;
                                                   }});
    MESSAGE("moments: ", moments);
}

} // namespace cancellation_tests
