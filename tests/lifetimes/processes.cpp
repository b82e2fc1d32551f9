// SPDX-License-Identifier: BSL-1.0
// Rows 7, 8 and 20: what fork, a freeze and the end of the process do.

#include <loopsafe/testing/manual_clock.hpp>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <lifetimes/processes.hpp>
#include <lifetimes/vocabulary.hpp>
#include <semaphore>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace processes_tests {

#if defined(__SANITIZE_THREAD__)
#define LOOPSAFE_TESTS_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LOOPSAFE_TESTS_THREAD_SANITIZER
#endif
#endif

namespace {

using namespace lifetimes;
using namespace std::chrono_literals;
using loopsafe::clock_reading;
using loopsafe::never;
using loopsafe::testing::manual_clock;

// A connection that says goodbye, as those of databases do.
class polite_connection {
public:
    explicit polite_connection(tcp::socket s) : socket(std::move(s)) {}
    polite_connection(polite_connection&&) noexcept = default;
    ~polite_connection()
    {
        error_code ignored;
        if (socket.is_open() && !silent)
            asio::write(socket, asio::buffer("bye", 3), ignored);
    }

    tcp::socket socket;
    bool silent = false;
};

class polite_connector {
public:
    using connection_type = polite_connection;

    explicit polite_connector(tcp::endpoint endpoint) : endpoint_(std::move(endpoint)) {}

    asio::awaitable<polite_connection> connect(asio::any_io_executor executor) const
    {
        tcp::socket socket(executor);
        co_await socket.async_connect(endpoint_, asio::use_awaitable);
        co_return polite_connection(std::move(socket));
    }
    bool is_clean(const polite_connection&) const noexcept { return true; }
    bool probe(polite_connection&) const noexcept { return true; }
    void abandon(polite_connection& connection) const noexcept { connection.silent = true; }

private:
    tcp::endpoint endpoint_;
};

using polite_pool = loopsafe::connection_pool<polite_connector>;

// A parent with one idle connection, and one that is leased and waits for a byte.
struct parent {
    parent()
    {
        pool.emplace(*context, polite_connector(server.endpoint()));
        auto first = run_on(*context, pool->acquire());
        idle_peer.emplace(server.accept());
        lease = run_on(*context, pool->acquire());
        leased_peer.emplace(server.accept());
        first.release();
        lease->socket.async_read_some(asio::buffer(&byte, 1), result.handler());
        run_ready(*context);
    }

    // Whether everything is as if there had been no child.
    void check()
    {
        asio::write(*leased_peer, asio::buffer("!", 1));
        context->restart();
        while (result.times == 0 && context->run_one_for(10s) != 0) {}
        CHECK(result.times == 1);
        CHECK(result.code == error_code());
        CHECK(byte == '!');
        asio::write(lease->socket, asio::buffer("leased", 6));
        CHECK(read(*leased_peer, 6) == "leased");
        const auto reused = run_on(*context, pool->acquire());
        asio::write(reused->socket, asio::buffer("idle", 4));
        CHECK(read(*idle_peer, 4) == "idle");
        CHECK(pool->stats().connects == 2);
        CHECK(pool->stats().closed() == 0);
    }

    tcp_peer server;
    std::optional<asio::io_context> context{std::in_place, 1};
    std::optional<polite_pool> pool;
    polite_pool::lease_type lease;
    std::optional<tcp::socket> idle_peer;
    std::optional<tcp::socket> leased_peer;
    char byte = 0;
    told result;
};

TEST_CASE("a forked child makes connections of its own and leaves its parent's alone (row 7)")
{
    parent p;
    p.context->notify_fork(asio::execution_context::fork_prepare);
    child forked([&] {
        p.context->notify_fork(asio::execution_context::fork_child);
        LOOPSAFE_TESTS_EXPECT(!p.pool->try_acquire(p.context->get_executor()))
        auto own = run_on(*p.context, p.pool->acquire());
        LOOPSAFE_TESTS_EXPECT(p.pool->stats().connects == 3)
        LOOPSAFE_TESTS_EXPECT(p.pool->stats().closed(close_reason::forked) == 1)
        auto peer = p.server.accept();
        asio::write(own->socket, asio::buffer("own", 3));
        LOOPSAFE_TESTS_EXPECT(read(peer, 3) == "own")
        p.lease.release();
        LOOPSAFE_TESTS_EXPECT(p.pool->stats().closed(close_reason::forked) == 2)
        own.release();
        LOOPSAFE_TESTS_EXPECT(p.pool->stats().idle == 1)
        p.pool.reset();
        LOOPSAFE_TESTS_EXPECT(read(peer, 3) == "bye")
        return 0;
    });
    p.context->notify_fork(asio::execution_context::fork_parent);
    CHECK(forked.wait() == 0);
    p.check();
}

TEST_CASE(
    "a forked child may destroy what it inherited in any order and uses a new context (row 7)")
{
    for (const bool context_first : {true, false}) {
        parent p;
        const auto script = std::make_shared<connect_script>();
        shelves_pool shelves{scripted_connector(script)};
        run_on(*p.context, borrow(shelves));
        child forked([&] {
            asio::io_context fresh(1);
            run_on(fresh, borrow(shelves));
            LOOPSAFE_TESTS_EXPECT(shelves.stats().connects == 2)
            LOOPSAFE_TESTS_EXPECT(shelves.stats().reused == 0)
            if (context_first)
                p.context.reset();
            p.pool.reset();
            p.lease.release();
            p.context.reset();
            LOOPSAFE_TESTS_EXPECT(script->abandoned == 1)
            return 0;
        });
        CHECK(forked.wait() == 0);
        p.check();
    }
}

TEST_CASE("a forked child has none of the worker threads, and starts its own (row 7)")
{
    loopsafe::worker_threads workers({.max_threads = 1});
    const auto call = [&](asio::io_context& context) {
        return run_on(context, loopsafe::offload({.workers = &workers}, [] { return 42; }));
    };
    asio::io_context idle(1);
    REQUIRE(call(idle) == 42);
    REQUIRE(workers.stats().threads == 1);

    std::optional<asio::io_context> context(std::in_place, 1);
    std::binary_semaphore entered{0};
    std::binary_semaphore open{0};
    int served = 0;
    std::atomic<bool> asked_to_stop = false;
    const auto block = [&](const std::stop_token& token) {
        const std::stop_callback callback(token, [&] { asked_to_stop = true; });
        entered.release();
        open.acquire();
    };
    const auto caller = [&]() -> asio::awaitable<void> {
        co_await loopsafe::offload({.workers = &workers}, block);
        ++served;
    };
    asio::co_spawn(*context, caller, asio::detached); // its function runs
    asio::co_spawn(*context, caller, asio::detached); // and this one waits for the thread
    context->poll();
    entered.acquire();
    context->notify_fork(asio::execution_context::fork_prepare);
    child forked([&] {
        context->notify_fork(asio::execution_context::fork_child);
        LOOPSAFE_TESTS_EXPECT(workers.stats().threads == 0)
        LOOPSAFE_TESTS_EXPECT(workers.stats().queued == 0)
        LOOPSAFE_TESTS_EXPECT(context->poll() == 0)
#if !defined(LOOPSAFE_TESTS_THREAD_SANITIZER) // it ends a forked child that starts a thread
        asio::io_context fresh(1);
        LOOPSAFE_TESTS_EXPECT(call(fresh) == 42)
#endif
        context.reset();                      // with the calls of the parent
        LOOPSAFE_TESTS_EXPECT(!asked_to_stop) // the function runs there
#if !defined(LOOPSAFE_TESTS_THREAD_SANITIZER)
        LOOPSAFE_TESTS_EXPECT(call(fresh) == 42)
#endif
        LOOPSAFE_TESTS_EXPECT(workers.join(loopsafe::never))
        return 0;
    });
    context->notify_fork(asio::execution_context::fork_parent);
    CHECK(forked.wait() == 0);
    open.release();
    entered.acquire();
    open.release();
    context->run();
    CHECK(served == 2);
}

#if !defined(LOOPSAFE_TESTS_THREAD_SANITIZER) // it ends a forked child that starts a thread
TEST_CASE("a child that a worker thread forked is none of the worker threads (row 7)")
{
    loopsafe::worker_threads workers({.max_threads = 1});
    asio::io_context context(1);
    const auto fork_and_use = [&] {
        const pid_t pid = ::fork();
        if (pid == 0) {
            asio::io_context fresh(1);
            const auto call = [&] {
                return run_on(fresh, loopsafe::offload({.workers = &workers}, [] { return 42; }));
            };
            try {
                ::_exit(call() == 42 && workers.join(loopsafe::never) ? 0 : 1);
            } catch (const std::exception& e) {
                std::fprintf(stderr, "child: %s\n", e.what());
                ::_exit(101);
            }
        }
        int status = -1;
        return ::waitpid(pid, &status, 0) == pid ? status : -1;
    };
    CHECK(run_on(context, loopsafe::offload({.workers = &workers}, fork_and_use)) == 0);

    // And one whose function goes on to its end: the thread, and so the process, ends with it.
    const auto forks = [] {
        const pid_t pid = ::fork();
        if (pid == 0) // LeakSanitizer would miss the parent's threads
            std::atexit([] { ::_exit(0); });
        return pid;
    };
    const auto pid = run_on(context, loopsafe::offload({.workers = &workers}, forks));
    int status = -1;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
    CHECK(workers.stats().running == 0);
    CHECK(workers.join(loopsafe::never));
}
#endif

TEST_CASE("a function that forks where the call is made leaves the figures of both right (row 7)")
{
    loopsafe::worker_threads none({.max_threads = 0});
    asio::io_context context(1);
    const auto pid =
        run_on(context, loopsafe::offload({.workers = &none}, [] { return ::fork(); }));
    const bool right = none.stats().running == 0 && none.join(std::chrono::milliseconds(0));
    if (pid == 0)
        ::_exit(right ? 0 : 1);
    int status = -1;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
    CHECK(right);
}

using frozen_pool =
    loopsafe::connection_pool<scripted_connector,
                              loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, manual_clock>>;

// Borrows a connection twice; the machine was frozen in between, as its clocks tell.
loopsafe::pool_stats thawed_after(const clock_reading& frozen,
                                  const loopsafe::kept_connection_options& limits,
                                  connect_script& script)
{
    manual_clock::reset();
    asio::io_context context(1);
    const std::shared_ptr<connect_script> shared(std::shared_ptr<void>(), &script);
    frozen_pool pool(context, scripted_connector(shared), limits);
    run_on(context, borrow(pool));
    manual_clock::move(frozen.monotonic, frozen.boot, frozen.wall);
    run_on(context, borrow(pool));
    return pool.stats();
}

TEST_CASE("each of three clocks alone can tell how long a machine was frozen (row 8)")
{
    // The wall clock is the one that is always looked at: it goes on a second, or is set back.
    const std::array<clock_reading, 5> freezes{
        {{0s, 0s, 60s}, {60s, 0s, 1s}, {60s, 0s, -1s}, {0s, 60s, 1s}, {0s, 60s, -1s}}};
    for (const auto& frozen : freezes) {
        CAPTURE(frozen.monotonic.count());
        CAPTURE(frozen.boot.count());
        CAPTURE(frozen.wall.count());
        connect_script probed;
        auto stats = thawed_after(
            frozen, {.idle_timeout = never, .max_lifetime = never, .probe_after = 30s}, probed);
        CHECK(probed.probes == 1);
        CHECK(stats.reused == 1);
        connect_script too_idle;
        stats = thawed_after(
            frozen, {.idle_timeout = 30s, .max_lifetime = never, .probe_after = never}, too_idle);
        CHECK(stats.closed(close_reason::idle_too_long) == 1);
        CHECK(stats.connects == 2);
        connect_script too_old;
        stats = thawed_after(
            frozen, {.idle_timeout = never, .max_lifetime = 30s, .probe_after = never}, too_old);
        CHECK(stats.closed(close_reason::lived_too_long) == 1);
        CHECK(stats.connects == 2);
    }
}

TEST_CASE("a connection whose peer left during a freeze is not used after the thaw (row 8)")
{
    tcp_peer server;
    const cue idle;
    const cue thawed;
    child worker([&] {
        asio::io_context context(1);
        tcp_pool pool(context, loopsafe::tcp_connector(server.endpoint()),
                      {.idle_timeout = never, .max_lifetime = never, .probe_after = never});
        run_on(context, borrow(pool));
        LOOPSAFE_TESTS_EXPECT(idle.give())
        LOOPSAFE_TESTS_EXPECT(thawed.await())
        pool.thaw();
        auto lease = run_on(context, pool.acquire());
        LOOPSAFE_TESTS_EXPECT(pool.stats().closed(close_reason::probe_failed) == 1)
        asio::write(lease->next_layer(), asio::buffer("new", 3));
        return 0;
    });
    REQUIRE(idle.await());
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

TEST_CASE("a connection that outlived a freeze passes its probe and is used again (row 8)")
{
    const auto script = std::make_shared<connect_script>();
    asio::io_context context(1);
    strict_pool pool(context, scripted_connector(script), {.probe_after = never});
    run_on(context, borrow(pool));
    pool.thaw();
    CHECK(!pool.try_acquire(context.get_executor()));
    run_on(context, borrow(pool));
    CHECK(script->probes == 1);
    CHECK(pool.stats().reused == 1);
    CHECK(pool.try_acquire(context.get_executor()));
    CHECK(script->probes == 1);
}

using offloaded_pool = loopsafe::connection_pool<scripted_connector, loopsafe::keep_alive_pool,
                                                 loopsafe::thread_offload>;
using carried_pool = loopsafe::connection_pool<scripted_connector, loopsafe::carry_over_pool>;

// One connection on the context of a pool, one on a worker thread, and one that is parked.
struct three_pools {
    three_pools()
    {
        run_on(context, borrow(at_home));
        use_offloaded();
        run_carried();
    }

    void use_offloaded()
    {
        auto lease = run_on(context, offloaded.acquire());
        run_on(context, lease.run([](auto&) {}));
    }
    void run_carried()
    {
        asio::io_context fresh(1);
        run_on(fresh, borrow(carried));
    }
    void use_all()
    {
        run_on(context, borrow(at_home));
        use_offloaded();
        run_carried();
    }

    std::array<std::shared_ptr<connect_script>, 3> scripts{std::make_shared<connect_script>(),
                                                           std::make_shared<connect_script>(),
                                                           std::make_shared<connect_script>()};
    asio::io_context context{1};
    strict_pool at_home{context, scripted_connector(scripts[0]), {.probe_after = never}};
    offloaded_pool offloaded{scripted_connector(scripts[1]), {.probe_after = never}};
    carried_pool carried{scripted_connector(scripts[2]), {.probe_after = never}};
};

TEST_CASE("a process that says that it was thawed makes every pool of it probe (row 8)")
{
    three_pools pools;
    loopsafe::process_thawed();
    CHECK(!pools.at_home.try_acquire(pools.context.get_executor()));
    pools.use_all();
    for (const auto& script : pools.scripts) {
        CHECK(script->probes == 1);
        CHECK(script->opened == 1);
    }
    CHECK(pools.at_home.try_acquire(pools.context.get_executor())); // once is enough
    auto held = run_on(pools.context, pools.at_home.acquire());
    loopsafe::process_thawed();
    held.release(); // it was in use
    CHECK(pools.at_home.try_acquire(pools.context.get_executor()));
    CHECK(pools.scripts[0]->probes == 1);
}

TEST_CASE("a process that says that it is a copy leaves what it has alone (row 9)")
{
    three_pools pools;
    auto held = run_on(pools.context, pools.at_home.acquire());
    loopsafe::process_restored();
    pools.use_all();
    for (const auto& script : pools.scripts)
        CHECK(script->opened == 2);
    CHECK(pools.carried.stats().closed(close_reason::forked) == 1);
    CHECK(pools.offloaded.stats().closed(close_reason::forked) == 1);
    held.release(); // the one that everyone has
    CHECK(pools.at_home.stats().closed(close_reason::forked) == 1);
}

// What a process keeps in static storage. Constructed before the context, it ends after it.
template <class Context>
struct kept_for_ever {
    std::optional<strict_pool> strict;
    std::optional<shelves_pool> shelves;
    std::optional<fleeting_pool> fleeting;
    strict_pool::lease_type strict_lease;
    shelves_pool::lease_type shelves_lease;
    fleeting_pool::lease_type fleeting_lease;
    context_bound<asio::steady_timer> timer;
    context_bound<tcp::socket> socket;

    void fill(Context& context, const std::shared_ptr<connect_script>& script)
    {
        strict.emplace(context, scripted_connector(script));
        shelves.emplace(scripted_connector(script));
        fleeting.emplace(scripted_connector(script));
        const auto acquire = [&](auto& pool) {
            asio::co_spawn(context, borrow(pool), asio::use_future).get();
            return asio::co_spawn(context, pool.acquire(), asio::use_future).get();
        };
        strict_lease = acquire(*strict);
        shelves_lease = acquire(*shelves);
        fleeting_lease = acquire(*fleeting);
        strict_pool::lease_type(acquire(*strict)).release();
        timer = context_bound<asio::steady_timer>(context, context, for_ever);
        socket = context_bound<tcp::socket>(context, context, tcp::v4());
    }
};

// Ends the process with a bad status if connections are left. Destroyed last.
struct verdict {
    std::shared_ptr<connect_script> script = std::make_shared<connect_script>();
    ~verdict()
    {
        if (script->opened < 4 || script->open() != 0) {
            std::fprintf(stderr, "child: %d of %d connections are left\n", script->open(),
                         script->opened.load());
            ::_exit(102);
        }
    }
};

// An io_context that its own thread runs.
class io_thread {
public:
    ~io_thread()
    {
        work_.reset();
        thread_.join();
    }
    asio::io_context context{1};

private:
    asio::executor_work_guard<asio::io_context::executor_type> work_{context.get_executor()};
    std::thread thread_{[this] { context.run(); }};
};

struct thread_pool_context {
    asio::thread_pool context{1};
};

// Statics are destroyed in the reverse order of their construction, wherever they stand.
template <class Owner>
int exit_with_statics(bool context_ends_first, bool system_context_ends_first)
{
    static verdict last;
    if (!system_context_ends_first)
        asio::post(asio::system_executor(), [] {});
    using context_type = decltype(Owner::context);
    if (context_ends_first) {
        static kept_for_ever<context_type> kept;
        static Owner owner;
        kept.fill(owner.context, last.script);
    } else {
        static Owner owner;
        static kept_for_ever<context_type> kept;
        kept.fill(owner.context, last.script);
    }
    asio::post(asio::system_executor(), [] {});
    std::exit(0);
}

TEST_CASE("statics of every kind are destroyed at exit in every order (row 20)")
{
    for (const bool context_ends_first : {true, false}) {
        for (const bool system_context_ends_first : {true, false}) {
            CAPTURE(context_ends_first);
            CAPTURE(system_context_ends_first);
            child with_io_context([&] {
                return exit_with_statics<io_thread>(context_ends_first, system_context_ends_first);
            });
            CHECK(with_io_context.wait() == 0);
            child with_thread_pool([&] {
                return exit_with_statics<thread_pool_context>(context_ends_first,
                                                              system_context_ends_first);
            });
            CHECK(with_thread_pool.wait() == 0);
        }
    }
}

} // namespace

} // namespace processes_tests
