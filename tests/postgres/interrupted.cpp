// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <functional>

namespace {

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
asio::awaitable<void> use(std::string conninfo)
{
    const pg::connector connector(conninfo);
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
    CHECK(connector.is_clean(conn) == complete);
    CHECK(conn.is_open() == complete);
    if (failure)
        std::rethrow_exception(failure);
    co_await conn.transaction(
        [](pg::connection& c) -> asio::awaitable<void> { co_await c.query("select 1"); });
    co_await connector.reset(conn);
}

const std::string modes[] = {"sslmode=disable", "sslmode=require", "host=localhost sslmode=prefer"};

} // namespace

TEST_SUITE_BEGIN("interrupted");

TEST_CASE("cancelled at every suspension point, it ends aborted and leaves nothing behind")
{
    for (const auto& mode : modes) {
        CAPTURE(mode);
        // Only against an empty sweep: how many there are depends on how the answers arrive.
        CHECK(after_every_step([&] { return use(server(mode)); }, &cancel) >= 6);
    }
}

TEST_CASE("its context dies at every suspension point, and nothing is left behind")
{
    for (const auto& mode : modes) {
        CAPTURE(mode);
        CHECK(after_every_step([&] { return use(server(mode)); }, &destroy) >= 6);
        CHECK(after_every_step([&] { return use(server(mode)); }, &destroy, true) >= 6);
    }
}

TEST_CASE("a cancelled query is broken off: an operation_aborted that names its stage")
{
    const pg::connector connector(server());
    asio::io_context context;
    auto conn = run_on(context, [&] { return connect(connector); });
    asio::cancellation_signal signal;
    std::exception_ptr failure;
    context.restart();
    asio::co_spawn(
        context, [&]() -> asio::awaitable<void> { co_await conn.query("select pg_sleep(600)"); },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { failure = e; }));
    context.poll();
    REQUIRE(failure == nullptr);
    signal.emit(asio::cancellation_type::terminal);
    context.run();
    REQUIRE(failure != nullptr);
    try {
        std::rethrow_exception(failure);
    } catch (const pg::error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
        CHECK(e.stage() == pg::stage::query);
    }
    CHECK_FALSE(connector.is_clean(conn));
    CHECK_FALSE(connector.probe(conn));
    CHECK_FALSE(conn.is_open());
}

TEST_SUITE_END();
