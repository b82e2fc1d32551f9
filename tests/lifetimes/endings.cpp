// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// Rows 3, 11, 13, 14, 15, 16 and 23: what ends before what, and what keeps nothing going.

#include <lifetimes/vocabulary.hpp>

namespace endings_tests {

namespace {

using namespace lifetimes;
using outcome = connect_script::outcome;

using offloaded_pool = loopsafe::connection_pool<scripted_connector, loopsafe::keep_alive_pool,
                                                 loopsafe::thread_offload>;

// Counts how often a value of it was destroyed.
class counted {
public:
    explicit counted(int& destroyed) : destroyed_(destroyed) {}
    counted(const counted&) = delete;
    ~counted() { ++destroyed_; }

private:
    int& destroyed_;
};

TEST_CASE("connections end with their context and their handles may end at any time later (row 3)")
{
    for (const bool pool_ends_first : {true, false}) {
        tcp_peer server;
        const auto descriptors = open_descriptors();
        std::optional<asio::io_context> context(std::in_place, 1);
        std::optional<tcp_pool> pool(std::in_place, *context,
                                     loopsafe::tcp_connector(server.endpoint()));
        auto lease = run_on(*context, pool->acquire());
        run_on(*context, borrow(*pool));
        REQUIRE(pool->stats().idle == 1);
        context.reset();
        CHECK(open_descriptors() == descriptors);
        CHECK(pool->stats().idle == 0);
        CHECK(pool->stats().leased == 0);
        CHECK(pool->stats().closed(close_reason::context_died) == 2);
        if (pool_ends_first)
            pool.reset();
        lease.release();
    }
}

// Begins an operation on the strand; the signal can cancel it.
enum class operation { acquire, close, offload, acquire_from_workers };

void begin(operation what, strict_pool& pool, offloaded_pool& offloaded,
           const asio::strand<asio::io_context::executor_type>& strand,
           asio::cancellation_signal& signal, told& seen)
{
    const auto token = [&](auto handler) {
        return asio::bind_cancellation_slot(signal.slot(),
                                            asio::bind_executor(strand, std::move(handler)));
    };
    switch (what) {
    case operation::acquire: pool.async_acquire(token(seen.handler())); break;
    case operation::close: pool.async_close(loopsafe::never, token(seen.handler())); break;
    case operation::offload:
        loopsafe::async_offload([] {}, token([&seen](const std::exception_ptr&) { ++seen.times; }));
        break;
    case operation::acquire_from_workers: offloaded.async_acquire(token(seen.handler())); break;
    }
}

TEST_CASE("a signal may outlive the operation that it can cancel and its context (row 3)")
{
    for (const auto what : {operation::acquire, operation::close, operation::offload,
                            operation::acquire_from_workers}) {
        for (const bool completed : {true, false}) {
            CAPTURE(static_cast<int>(what));
            CAPTURE(completed);
            asio::cancellation_signal signal;
            told seen;
            std::optional<asio::io_context> context(std::in_place, 1);
            strict_pool pool(*context, scripted_connector(std::make_shared<connect_script>()));
            offloaded_pool offloaded{scripted_connector(std::make_shared<connect_script>())};
            std::optional<strict_pool::lease_type> out;
            if (what == operation::close && !completed)
                out = run_on(*context, pool.acquire());
            begin(what, pool, offloaded, asio::make_strand(*context), signal, seen);
            if (completed) {
                context->restart();
                while (seen.times == 0 && context->run_one() != 0) {}
                CHECK(seen.times == 1);
            }
            context.reset();
            signal.emit(asio::cancellation_type::terminal);
            CHECK(seen.times == (completed ? 1 : 0));
        }
    }
}

TEST_CASE(
    "a signal that is emitted while the context dies reaches nobody, and nothing leaks (row 3)")
{
    struct emits_at_its_end {
        asio::cancellation_signal& signal;
        ~emits_at_its_end() { signal.emit(asio::cancellation_type::terminal); }
    };
    for (const auto what : {operation::acquire, operation::close, operation::offload,
                            operation::acquire_from_workers}) {
        for (const bool older : {true, false}) {
            CAPTURE(static_cast<int>(what));
            asio::cancellation_signal signal;
            told seen;
            std::optional<asio::io_context> context(std::in_place, 1);
            strict_pool pool(*context, scripted_connector(std::make_shared<connect_script>()));
            offloaded_pool offloaded{scripted_connector(std::make_shared<connect_script>())};
            auto out = run_on(*context, pool.acquire());
            const auto emit_late = [&] {
                auto last = std::make_shared<emits_at_its_end>(signal);
                auto timer = std::make_shared<asio::steady_timer>(*context, for_ever);
                timer->async_wait([last, timer](error_code) {});
                asio::post(*context, [last] {});
            };
            if (older)
                emit_late();
            begin(what, pool, offloaded, asio::make_strand(*context), signal, seen);
            if (!older)
                emit_late();
            context.reset();
            CHECK(seen.times == 0);
        }
    }
}

TEST_CASE("a signal may end before what it emitted arrives (row 3)")
{
    asio::io_context context(1);
    strict_pool pool(context, scripted_connector(std::make_shared<connect_script>()),
                     {.max_size = 1});
    offloaded_pool unused{scripted_connector(std::make_shared<connect_script>())};
    const auto out = run_on(context, pool.acquire());
    std::optional<asio::cancellation_signal> signal(std::in_place);
    told seen;
    begin(operation::acquire, pool, unused, asio::make_strand(context), *signal, seen);
    context.restart();
    context.poll();
    REQUIRE(seen.times == 0);
    signal->emit(asio::cancellation_type::terminal);
    signal.reset();
    context.restart();
    context.poll();
    CHECK(seen.times == 1);
    CHECK(seen.code == asio::error::operation_aborted);
}

TEST_CASE("a timer or socket or strand or work guard ends with its context not its handle (row 3)")
{
    const auto descriptors = open_descriptors();
    int destroyed = 0;
    std::optional<asio::io_context> context(std::in_place, 1);
    using executor = asio::io_context::executor_type;
    context_bound<asio::steady_timer> timer(*context, *context, for_ever);
    context_bound<tcp::socket> socket(*context, *context, tcp::v4());
    context_bound<asio::strand<executor>> strand(*context, asio::make_strand(*context));
    context_bound<asio::executor_work_guard<executor>> guard(*context, context->get_executor());
    context_bound<counted> last(*context, destroyed);
    auto moved = std::move(socket);
    context.reset();
    CHECK(open_descriptors() == descriptors);
    CHECK(destroyed == 1);
    timer.reset();
    moved.reset();
    strand.reset();
    guard.reset();
    last.reset();
    CHECK(destroyed == 1);
}

struct nest {
    explicit nest(const asio::any_io_executor& executor) : timer(executor, executor, for_ever) {}
    context_bound<asio::steady_timer> timer;
};

// A connection that may be the last owner of its context.
struct owning_connection {
    std::shared_ptr<asio::io_context> context;
    std::unique_ptr<asio::steady_timer> timer;
};

struct owning_connector {
    using connection_type = owning_connection;

    asio::awaitable<owning_connection> connect(asio::any_io_executor executor) const
    {
        co_return owning_connection{nullptr, std::make_unique<asio::steady_timer>(executor)};
    }
    bool is_clean(const owning_connection&) const noexcept { return true; }
    bool probe(owning_connection&) const noexcept { return true; }
    static constexpr bool frames_messages = true;
};

TEST_CASE("a bound value may be the last owner of its context (row 3)")
{
    auto context = std::make_shared<asio::io_context>(1);
    const auto home = loopsafe::context_of(*context);
    using bound = loopsafe::context_bound<std::shared_ptr<asio::io_context>>;
    std::optional<bound> owner(std::in_place, *context, context);
    loopsafe::context_bound<asio::steady_timer> timer(*context, *context);
    context.reset();
    REQUIRE(home.alive());
    SUBCASE("and is destroyed")
    {
        owner.reset();
    }
    SUBCASE("and is reset")
    {
        owner->reset();
    }
    SUBCASE("and another is assigned")
    {
        *owner = bound();
    }
    CHECK_FALSE(home.alive());
}

TEST_CASE_TEMPLATE("a connection may be the last owner of its context (row 3)", Policy,
                   loopsafe::keep_alive_pool, loopsafe::per_context_pool, loopsafe::null_pool)
{
    using pool_type = loopsafe::connection_pool<owning_connector, Policy>;
    auto context = std::make_shared<asio::io_context>(1);
    const auto home = loopsafe::context_of(*context);
    std::optional<pool_type> pool;
    if constexpr (Policy::has_home)
        pool.emplace(*context, owning_connector());
    else
        pool.emplace(owning_connector());
    auto first = run_on(*context, pool->acquire());
    auto owner = run_on(*context, pool->acquire());
    auto last = run_on(*context, pool->acquire());
    owner->context = std::exchange(context, nullptr);
    REQUIRE(home.alive());
    const auto end_leases = [&] {
        first.release();
        owner.release();
        last.release();
        if (Policy::keeps_idle)
            REQUIRE(pool->stats().idle == 3);
    };
    SUBCASE("idle in a pool that is closed")
    {
        end_leases();
        pool->close();
    }
    SUBCASE("idle in a pool that is invalidated")
    {
        end_leases();
        pool->invalidate();
    }
    SUBCASE("idle in a pool that is destroyed")
    {
        end_leases();
        pool.reset();
    }
    SUBCASE("discarded")
    {
        owner.discard();
    }
    SUBCASE("given back to a pool that is closed")
    {
        pool->close();
        owner.release();
    }
    SUBCASE("given back to a pool that is gone")
    {
        pool.reset();
        owner.release();
    }
    CHECK_FALSE(home.alive());
    if (pool.has_value()) {
        CHECK(pool->stats().idle == 0);
        pool->close();
    }
}

TEST_CASE("a context_bound value may hold another (row 3)")
{
    std::optional<asio::io_context> context(std::in_place, 1);
    const context_bound<nest> outer(*context, context->get_executor());
    loopsafe::context_local<nest>::in(context->get_executor());
    context.reset();
    CHECK(!outer.home().alive());
}

TEST_CASE("a context that dies in the middle of everything takes every connection along (row 11)")
{
    const auto script = std::make_shared<connect_script>();
    shelves_pool pool{scripted_connector(script), {.max_size = 2, .probe_after = loopsafe::never}};
    std::optional<asio::io_context> context(std::in_place, 1);
    int resumed = 0;
    int touched = 0;
    const auto uses = [&]() -> asio::awaitable<void> {
        auto lease = co_await pool.acquire();
        const at_exit touch([&] { touched = lease->number(); });
        lease->timer().expires_at(for_ever);
        co_await lease->timer().async_wait(asio::use_awaitable);
        ++resumed;
    };
    const auto asks = [&]() -> asio::awaitable<void> {
        co_await pool.acquire();
        ++resumed;
    };
    script->plan({outcome::ok, outcome::never});
    asio::co_spawn(*context, uses, asio::detached);
    while (pool.stats().leased == 0)
        context->run_one();
    for (int i = 0; i < 3; ++i)
        asio::co_spawn(*context, asks, asio::detached);
    told callback;
    pool.async_acquire(context->get_executor(), callback.handler());
    while (pool.stats().waiting != 3 || pool.stats().connecting != 1)
        context->run_one();

    context.reset();
    CHECK(resumed == 0);
    CHECK(callback.times == 0);
    CHECK(touched == 1);
    CHECK(script->open() == 0);
    auto stats = pool.stats();
    CHECK(stats.idle + stats.leased + stats.connecting + stats.waiting == 0);
    CHECK(stats.closed(close_reason::context_died) == 1);

    asio::io_context next;
    const auto first = run_on(next, pool.acquire());
    const auto second = run_on(next, pool.acquire());
    CHECK(pool.stats().leased == 2);
}

TEST_CASE("an operation that outlives its lease is told and touches nothing of it (row 11)")
{
    tcp_peer server;
    asio::io_context context(1);
    tcp_pool pool(context, loopsafe::tcp_connector(server.endpoint()));
    char byte = 0;
    told result;
    {
        auto lease = run_on(context, pool.acquire());
        lease->async_read_some(asio::buffer(&byte, 1), result.handler());
        run_ready(context);
    }
    CHECK(pool.stats().closed(close_reason::dirty) == 1);
    run_ready(context);
    CHECK(result.times == 1);
    CHECK(result.code == asio::error::operation_aborted);

    auto lease = run_on(context, pool.acquire());
    auto other = run_on(context, pool.acquire());
    *other = std::move(*lease);
    CHECK(!lease->is_clean());
    CHECK(other->is_clean());
}

TEST_CASE("a lease outlives its pool (row 13)")
{
    for (const bool context_ends_first : {true, false}) {
        tcp_peer server;
        const auto descriptors = open_descriptors();
        std::optional<asio::io_context> context(std::in_place, 1);
        std::optional<tcp_pool> pool(std::in_place, *context,
                                     loopsafe::tcp_connector(server.endpoint()),
                                     tcp_pool::options{.max_size = 1});
        auto lease = run_on(*context, pool->acquire());
        auto peer = server.accept();
        told waiting;
        pool->async_acquire(context->get_executor(), waiting.handler());
        run_ready(*context);
        REQUIRE(pool->stats().waiting == 1);
        pool.reset();
        run_ready(*context);
        CHECK(waiting.code == errc::pool_closed);

        REQUIRE(lease);
        const auto use = [&]() -> asio::awaitable<void> {
            co_await asio::async_write(*lease, asio::buffer("on", 2), asio::use_awaitable);
        };
        run_on(*context, use());
        CHECK(read(peer, 2) == "on");
        if (context_ends_first)
            context.reset();
        lease.release();
        peer.close();
        CHECK(open_descriptors() == descriptors + (context_ends_first ? 0 : 3));
    }
}

TEST_CASE("an acquire that begins when its pool is gone is refused (row 13)")
{
    asio::io_context context(1);
    std::optional<strict_pool> pool(std::in_place, context,
                                    scripted_connector(std::make_shared<connect_script>()));
    auto acquire = pool->acquire();
    auto deferred = pool->async_acquire(asio::deferred);
    pool.reset();
    const strict_pool another(context, scripted_connector(std::make_shared<connect_script>()));
    CHECK_THROWS_WITH_AS(run_on(context, std::move(acquire)), doctest::Contains("is closed"),
                         loopsafe::pool_error);
    told seen;
    std::move(deferred)(asio::bind_executor(context, seen.handler()));
    context.restart();
    context.run();
    CHECK(seen.code == loopsafe::errc::pool_closed);
    CHECK(another.stats().acquired == 0);
}

TEST_CASE("a pool outlives its contexts and serves the next as its policy says (row 14)")
{
    const auto script = std::make_shared<connect_script>();
    std::optional<asio::io_context> context(std::in_place, 1);
    strict_pool strict(*context, scripted_connector(script));
    shelves_pool shelves{scripted_connector(script)};
    fleeting_pool fleeting{scripted_connector(script)};
    run_on(*context, borrow(strict));
    run_on(*context, borrow(shelves));
    run_on(*context, borrow(fleeting));
    CHECK(script->open() == 2);
    context.reset();
    CHECK(script->open() == 0);
    CHECK(strict.stats().idle == 0);
    CHECK(shelves.stats().idle == 0);

    context.emplace(1);
    CHECK(failure([&] { run_on(*context, borrow(strict)); }) == errc::context_closed);
    run_on(*context, borrow(shelves));
    run_on(*context, borrow(shelves));
    run_on(*context, borrow(fleeting));
    CHECK(shelves.stats().connects == 2);
    CHECK(shelves.stats().reused == 1);
    CHECK(fleeting.stats().connects == 2);
}

TEST_CASE("a context outlives its pools (row 15)")
{
    const auto script = std::make_shared<connect_script>();
    std::optional<asio::io_context> context(std::in_place, 1);
    strict_pool stays(*context, scripted_connector(script));
    strict_pool::lease_type last;
    shelves_pool::lease_type longer;
    {
        strict_pool goes(*context, scripted_connector(script));
        shelves_pool shelves{scripted_connector(script)};
        run_on(*context, borrow(goes));
        run_on(*context, borrow(shelves));
        last = run_on(*context, goes.acquire());
        longer = run_on(*context, shelves.acquire());
    }
    CHECK(script->open() == 2);
    last.release();
    CHECK(script->open() == 1);
    run_on(*context, borrow(stays));
    strict_pool(*context, scripted_connector(script)).close();
    context.reset();
    CHECK(script->open() == 0);
    longer.release();
}

TEST_CASE("once its leases are back a pool gives its context nothing to do (row 16)")
{
    const auto script = std::make_shared<connect_script>();
    asio::io_context context(1);
    shelves_pool pool{scripted_connector(script), {.max_size = 1}};
    script->wants_reset = true;
    for (int i = 0; i < 3; ++i)
        asio::co_spawn(context, borrow(pool), asio::detached);
    while (pool.stats().acquired != 3)
        context.run_one();
    context.poll();
    CHECK(context.stopped());
    CHECK(pool.stats().idle == 1);
    CHECK(script->resets == 2);
}

TEST_CASE("a signal that is kept gives its context nothing to do (row 16)")
{
    asio::io_context context(1);
    strict_pool pool(context, scripted_connector(std::make_shared<connect_script>()));
    asio::cancellation_signal signal;
    told seen;
    pool.async_acquire(asio::bind_cancellation_slot(
        signal.slot(),
        asio::bind_executor(asio::any_io_executor(asio::prefer(
                                context.get_executor(), asio::execution::outstanding_work.tracked)),
                            seen.handler())));
    context.run();
    CHECK(seen.times == 1);
}

TEST_CASE("neither a pool nor what it keeps holds a context at work (row 23)")
{
    const auto script = std::make_shared<connect_script>();
    std::optional<asio::io_context> context(std::in_place, 1);
    const auto at_work = [&] {
        return asio::require(context->get_executor(), asio::execution::outstanding_work.tracked);
    };
    strict_pool strict(at_work(), scripted_connector(script));
    shelves_pool shelves{scripted_connector(script)};
    loopsafe::context_local<asio::steady_timer>::in(at_work());
    context->poll();
    CHECK(context->stopped());
    context->restart();
    asio::co_spawn(at_work(), borrow(strict), asio::detached);
    asio::co_spawn(at_work(), borrow(shelves), asio::detached);
    while (shelves.stats().acquired + strict.stats().acquired != 2)
        context->run_one();
    context->poll();
    CHECK(context->stopped());
    CHECK(script->open() == 2);
    context.reset();
    CHECK(script->open() == 0);
}

} // namespace

} // namespace endings_tests
