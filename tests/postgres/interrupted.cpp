// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <loopsafe/connection_pool.hpp>

#include <functional>

namespace interrupted_tests {

namespace {

using namespace std::chrono_literals;

constexpr pg::connector_options not_asking{.cancel_timeout = 0ms};

using body = std::function<asio::awaitable<void>()>;

// Interrupts a coroutine after each of its steps, one run for each, until it ends by itself.
// A step is one handler of the context, so every suspension point has its run.
template <class Interrupt>
int after_every_step(const body& work, Interrupt interrupt, bool on_a_strand = false)
{
    run(work); // whatever is opened once and kept
    for (int steps = 0;; ++steps) {
        CAPTURE(steps);
        const auto before = open_descriptors();
        std::optional<std::exception_ptr> ended;
        bool by_itself = false;
        {
            auto context = std::make_unique<asio::io_context>();
            asio::cancellation_signal signal;
            const auto end = [&](std::exception_ptr e) { ended = e; };
            if (on_a_strand) // without the signal, which would keep the strand beyond its context
                asio::co_spawn(asio::make_strand(*context), work, end);
            else
                asio::co_spawn(*context, work, asio::bind_cancellation_slot(signal.slot(), end));
            for (int i = 0; i < steps && !ended; ++i)
                context->run_one();
            by_itself = ended.has_value();
            interrupt(context, signal);
        }
        CHECK(open_descriptors() == before);
        if (by_itself) {
            CHECK(*ended == nullptr);
            return steps;
        }
        if (ended && *ended != nullptr) {
            try {
                std::rethrow_exception(*ended);
            } catch (const boost::system::system_error& e) {
                CHECK(e.code() == asio::error::operation_aborted);
            }
        }
    }
}

void cancel(std::unique_ptr<asio::io_context>& context, asio::cancellation_signal& signal)
{
    signal.emit(asio::cancellation_type::terminal);
    context->run();
}

void destroy(std::unique_ptr<asio::io_context>& context, asio::cancellation_signal&)
{
    context.reset();
}

// Connects and asks, and looks at what an interruption leaves.
asio::awaitable<void> use(std::string conninfo, pg::connector_options options)
{
    const pg::connector connector(conninfo, options);
    auto conn = co_await connect(connector);
    bool complete = false;
    std::exception_ptr failure;
    try {
        const auto rows = co_await conn.query("select length($1::text), generate_series(1, 20000)",
                                              std::string(300'000, 'x'));
        complete = rows.size() == 20'000;
    } catch (...) {
        failure = std::current_exception();
    }
    if (options.cancel_timeout == 0ms) {
        CHECK(connector.is_clean(conn) == complete);
        CHECK(conn.is_open() == complete);
    } else { // the server may have been asked in time
        CHECK((conn.is_open() || !complete));
        CHECK((conn.is_open() || !connector.is_clean(conn)));
    }
    if (failure)
        std::rethrow_exception(failure);
    co_await conn.transaction([](pg::connection& c) -> asio::awaitable<void> {
        for (int i = 0; i != 3; ++i) // as it is, prepared, by its name
            co_await c.query("select 1");
    });
    pg::batch several;
    for (int i = 0; i != 5; ++i)
        several.add("select $1::text", std::string(100'000, 'x'));
    co_await conn.pipeline(pg::atomic, several);
    co_await conn.pipeline(pg::independent, several);
    co_await connector.reset(conn);
}

// The same with a session that a pool lends again, whose reset goes along with the first statement.
asio::awaitable<void> use_again(std::string conninfo, pg::connector_options options)
{
    loopsafe::connection_pool<pg::connector> pool(
        co_await asio::this_coro::executor, pg::connector(conninfo, options), {.max_size = 1});
    int pid = 0;
    {
        auto lease = co_await pool.acquire();
        pid = lease->backend_pid();
        co_await lease->execute("set application_name = 'the last one'");
    }
    auto lease = co_await pool.acquire();
    CHECK(lease->backend_pid() == pid);
    CHECK(lease->native_handle() == nullptr);
    std::exception_ptr failure;
    try {
        const auto rows = co_await lease->query("select length($1::text), generate_series(1, "
                                                "20000), current_setting('application_name')",
                                                std::string(300'000, 'x'));
        CHECK(rows.size() == 20'000);
        CHECK(rows[0][2].text() != "the last one");
    } catch (...) {
        failure = std::current_exception();
    }
    if (lease->native_handle() != nullptr && lease->is_open()) // it is no longer due
        CHECK(std::string_view(PQparameterStatus(lease->native_handle(), "application_name")) !=
              "the last one");
    CHECK((lease->is_open() || failure != nullptr));
    lease.release();
    CHECK(pool.stats().leased == 0);
    if (failure)
        std::rethrow_exception(failure);
    auto next = co_await pool.acquire();
    co_await next->ready();
    CHECK(next->native_handle() != nullptr);
}

const std::string modes[] = {"sslmode=disable", "sslmode=require", "host=localhost sslmode=prefer"};

} // namespace

TEST_SUITE_BEGIN("interrupted");

TEST_CASE("cancelled at every suspension point, it ends aborted and leaves nothing behind")
{
    for (const auto& mode : modes) {
        CAPTURE(mode);
        // Only against an empty sweep: how many there are depends on how the answers arrive.
        CHECK(after_every_step([&] { return use(server(mode), not_asking); }, &cancel) >= 6);
        CHECK(after_every_step([&] { return use(server(mode), {}); }, &cancel) >= 6);
    }
}

TEST_CASE("cancelled at every suspension point, a reset that goes along is complete, or still due")
{
    for (const auto& mode : modes) {
        CAPTURE(mode);
        CHECK(after_every_step([&] { return use_again(server(mode), not_asking); }, &cancel) >= 6);
        CHECK(after_every_step([&] { return use_again(server(mode), {}); }, &cancel) >= 6);
        CHECK(after_every_step([&] { return use_again(server(mode), {}); }, &destroy) >= 6);
    }
}

TEST_CASE("its context dies at every suspension point, and nothing is left behind")
{
    for (const auto& mode : modes) {
        CAPTURE(mode);
        CHECK(after_every_step([&] { return use(server(mode), {}); }, &destroy) >= 6);
        CHECK(after_every_step([&] { return use(server(mode), {}); }, &destroy, true) >= 6);
    }
}

namespace {

// Asks on `conn` what makes the server sleep, and says how that ended after it was cancelled, so
// many times.
std::exception_ptr ask_and_cancel(asio::io_context& context, pg::connection& conn,
                                  const char* question, int times = 1)
{
    asio::cancellation_signal signal;
    std::exception_ptr failure;
    context.restart();
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            co_await conn.query(question);
            FAIL("it gave rows");
        },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { failure = e; }));
    context.poll();
    wait_until_asleep(conn.backend_pid());
    REQUIRE(failure == nullptr);
    for (; times != 0; --times) {
        signal.emit(asio::cancellation_type::terminal);
        context.poll();
    }
    context.run();
    return failure;
}

void check_aborted(const std::exception_ptr& failure)
{
    REQUIRE(failure != nullptr);
    try {
        std::rethrow_exception(failure);
    } catch (const pg::error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
        CHECK(e.stage() == pg::stage::query);
    }
}

} // namespace

TEST_CASE("a cancelled query is cancelled on the server, and the session goes on")
{
    for (const auto& mode : modes) {
        CAPTURE(mode);
        const pg::connector connector(server(mode), {.reuse_after_error = true});
        asio::io_context context;
        auto conn = run_on(context, [&] { return connect(connector); });
        for (int i = 0; i != 3; ++i) {
            check_aborted(ask_and_cancel(context, conn, "select pg_sleep(60)"));
            CHECK(activity(conn.backend_pid()) == "idle");
            CHECK(connector.is_clean(conn));
            CHECK(connector.probe(conn));
            run_on(context, [&]() -> asio::awaitable<void> {
                const auto rows = co_await conn.query("select 41 + 1");
                CHECK(rows[0][0].as<int>() == 42);
            });
        }
    }
}

TEST_CASE("cancel requests take none of the threads that others use")
{
    const auto shared = [] { return loopsafe::worker_threads::shared().stats(); };
    const auto before = shared();
    asio::io_context context;
    auto conn = run_on(context, [&] { return connect(server()); });
    check_aborted(ask_and_cancel(context, conn, "select pg_sleep(60)"));
    CHECK(shared().completed == before.completed);
    CHECK(shared().running == 0);
}

TEST_CASE("a cancellation that comes between two waits is not lost, and no less orderly")
{
    asio::cancellation_signal signal;
    const auto emit = [&](const pg::notice&) { signal.emit(asio::cancellation_type::terminal); };
    const pg::connector connector(server(), {.reuse_after_error = true}, emit);
    asio::io_context context;
    auto conn = run_on(context, [&] { return connect(connector); });
    for (int i = 0; i != 3; ++i) {
        std::exception_ptr failure;
        context.restart();
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                co_await conn.query("do $$ begin raise notice 'now'; perform pg_sleep(60); end $$");
            },
            asio::bind_cancellation_slot(signal.slot(),
                                         [&](std::exception_ptr e) { failure = e; }));
        context.run();
        check_aborted(failure);
        CHECK(activity(conn.backend_pid()) == "idle");
        CHECK(connector.is_clean(conn));
    }
}

TEST_CASE("a statement that is cancelled in a transaction leaves it to be rolled back")
{
    const pg::connector connector(server(), {.reuse_after_error = true});
    asio::io_context context;
    auto conn = run_on(context, [&] { return connect(connector); });
    run_on(context, [&]() -> asio::awaitable<void> { co_await conn.execute("begin"); });
    check_aborted(ask_and_cancel(context, conn, "select pg_sleep(60)"));
    CHECK(activity(conn.backend_pid()) == "idle in transaction (aborted)");
    CHECK_FALSE(connector.is_clean(conn));
}

TEST_CASE("a pool closes a connection after a cancelled query, or keeps it if told to")
{
    for (const bool reuse : {false, true}) {
        asio::io_context context;
        loopsafe::connection_pool<pg::connector> pool(
            context, pg::connector(server(), {.reuse_after_error = reuse}), {.max_size = 1});
        auto lease = run_on(context, [&] { return pool.acquire(); });
        const int pid = lease->backend_pid();
        check_aborted(ask_and_cancel(context, *lease, "select pg_sleep(60)"));
        lease.release();
        run_on(context, [&]() -> asio::awaitable<void> {
            auto next = co_await pool.acquire();
            CHECK((next->backend_pid() == pid) == reuse);
            const auto rows = co_await next->query("select 1");
            CHECK(rows.size() == 1);
        });
        CHECK(pool.stats().connects == (reuse ? 1 : 2));
    }
}

TEST_CASE("a cancelled query is broken off where the server is not asked, or does not obey")
{
    const auto broken_off = [](pg::connector_options options, const char* question, int times) {
        const pg::connector connector(server(), options);
        asio::io_context context;
        auto conn = run_on(context, [&] { return connect(connector); });
        check_aborted(ask_and_cancel(context, conn, question, times));
        CHECK_FALSE(connector.is_clean(conn));
        CHECK_FALSE(connector.probe(conn));
        CHECK_FALSE(conn.is_open());
    };
    constexpr auto stubborn = "do $$ begin for i in 1..9 loop begin perform pg_sleep(60); "
                              "exception when query_canceled then null; end; end loop; end $$";
    broken_off(not_asking, "select pg_sleep(60)", 1);
    broken_off({.cancel_timeout = 10ms}, stubborn, 1);
    broken_off({.cancel_timeout = loopsafe::never}, stubborn, 2);
}

TEST_SUITE_END();

} // namespace interrupted_tests
