// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// Rows 5, 22, 25 and 26: contexts that stop, end themselves, lose an error or ignore cancellation.

#include <array>
#include <lifetimes/vocabulary.hpp>
#include <stdexcept>
#include <tuple>

namespace running_tests {

namespace {

using namespace lifetimes;
using asio::cancellation_type;
using loopsafe::run;
using loopsafe::runner;
using outcome = connect_script::outcome;

asio::awaitable<void> until_cancelled()
{
    asio::steady_timer timer(co_await asio::this_coro::executor, for_ever);
    co_await timer.async_wait(asio::use_awaitable);
}

// Awaits an operation that forgets its handler.
asio::awaitable<void> forgotten()
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>([](auto) {},
                                                                         asio::use_awaitable);
}

asio::awaitable<void> throwing(const char* what)
{
    throw std::runtime_error(what);
    co_return;
}

// What `f` throws, as words.
template <class F>
std::string words(F f)
{
    return thrown_by<std::runtime_error>(std::move(f)).what();
}

TEST_CASE("a pool closes without its context being run (row 5)")
{
    const auto script = std::make_shared<connect_script>();
    asio::io_context context(1);
    strict_pool pool(context, scripted_connector(script));
    auto lease = run_on(context, pool.acquire());
    run_on(context, borrow(pool));
    REQUIRE(script->open() == 2);
    context.stop();
    pool.close();
    CHECK(script->open() == 1);
    CHECK(pool.stats().closed(close_reason::pool_closed) == 1);
    CHECK(lease);
    lease.release();
    CHECK(script->open() == 0);
    CHECK(pool.stats().closed(close_reason::pool_closed) == 2);
    CHECK(context.stopped());
}

TEST_CASE("a runner starts its context again for every call (row 5)")
{
    runner loop;
    const auto script = std::make_shared<connect_script>();
    strict_pool pool(loop.get_executor(), scripted_connector(script));
    const auto main = [&] { return borrow(pool); };
    loop.run(main);
    loop.run(main);
    CHECK(words([&] { loop.run([] { return throwing("a call fails"); }); }) == "a call fails");
    loop.run(main);
    CHECK(failure([&] { loop.run(forgotten); }) == errc::main_stuck);
    loop.run(main);
    CHECK(pool.stats().acquired == 4);
    CHECK(pool.stats().connects == 1);
}

TEST_CASE("a runner may be destroyed by what it runs (row 22)")
{
    auto loop = std::make_unique<runner>();
    const auto script = std::make_shared<connect_script>();
    strict_pool pool(loop->get_executor(), scripted_connector(script));
    bool went_on = false;
    const auto main = [&]() -> asio::awaitable<int> {
        const auto lease = co_await pool.acquire();
        loop.reset();
        asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::seconds(0));
        co_await timer.async_wait(asio::use_awaitable);
        went_on = static_cast<bool>(lease);
        co_return lease->number();
    };
    CHECK(loop->run(main) == 1);
    CHECK(went_on);
    CHECK(!pool.home().alive());
    CHECK(script->open() == 0);
}

TEST_CASE("run inside run is refused (row 22)")
{
    runner outer;
    runner other;
    int refused = 0;
    const auto main = [&]() -> asio::awaitable<void> {
        const auto inner = []() -> asio::awaitable<void> { co_return; };
        refused += failure([&] { outer.run(inner); }) == errc::nested_run;
        refused += failure([&] { other.run(inner); }) == errc::nested_run;
        refused += failure([&] { run(inner); }) == errc::nested_run;
        refused += failure([&] { outer.close(); }) == errc::nested_run;
        co_return;
    };
    outer.run(main);
    CHECK(refused == 4);
    other.run(main);
    CHECK(refused == 8);
}

TEST_CASE("what main throws comes before what its tasks throw (row 25)")
{
    const auto main = []() -> asio::awaitable<void> {
        const auto here = co_await asio::this_coro::executor;
        loopsafe::spawn(here, throwing("task"));
        co_await asio::post(here, asio::use_awaitable);
        co_await throwing("main");
    };
    CHECK(words([&] { run(main); }) == "main");
}

TEST_CASE("the first error of a task is rethrown at the end (row 25)")
{
    bool cleaned_up = false;
    const auto main = [&]() -> asio::awaitable<int> {
        const auto here = co_await asio::this_coro::executor;
        const auto straggler = [&]() -> asio::awaitable<void> {
            const at_exit note([&] { cleaned_up = true; });
            co_await until_cancelled();
        };
        loopsafe::spawn(here, throwing("first"));
        loopsafe::spawn(here, throwing("second"));
        loopsafe::spawn(here, straggler());
        co_await asio::post(here, asio::use_awaitable);
        co_return 1;
    };
    CHECK(words([&] { run(main); }) == "first");
    CHECK(cleaned_up);

    runner loop;
    CHECK(loop.run(main) == 1);
    CHECK(words([&] { loop.close(); }) == "first");
    loop.close();
}

TEST_CASE("a straggler that ends by its cancellation is no error (row 25)")
{
    const auto main = []() -> asio::awaitable<void> {
        loopsafe::spawn(co_await asio::this_coro::executor, until_cancelled());
    };
    CHECK(failure([&] { run(main); }) == error_code());
}

// Where an acquire is when it is cancelled.
enum class stage { waiting, connecting, resetting };

constexpr std::array stages{stage::waiting, stage::connecting, stage::resetting};
constexpr std::array cancellations{cancellation_type::terminal, cancellation_type::partial,
                                   cancellation_type::total};

// Resets never end, so that they can be cancelled.
class slow_to_reset : public scripted_connector {
public:
    using scripted_connector::scripted_connector;

    asio::awaitable<void> reset(loopsafe::testing::scripted_connection& connection) const
    {
        connection.timer().expires_at(for_ever);
        co_await connection.timer().async_wait(asio::use_awaitable);
    }
};

using slow_pool = loopsafe::connection_pool<slow_to_reset>;

struct cancelled_acquire {
    explicit cancelled_acquire(stage at)
    {
        if (at == stage::waiting) {
            holder = run_on(context, pool.acquire());
        } else if (at == stage::resetting) {
            run_on(context, borrow(pool));
            script->wants_reset = true;
        } else {
            script->plan({outcome::never});
        }
    }

    // Whether the acquire has ended, and left the pool as it was.
    bool ended()
    {
        const auto stats = pool.stats();
        if (result.times == 0)
            return false;
        CHECK(result.times == 1);
        CHECK(result.code == asio::error::operation_aborted);
        CHECK(stats.waiting + stats.connecting == 0);
        holder.release();
        script->wants_reset = false;
        if (script->attempts == 0)
            script->next(); // cancelled before it began, the acquire has left its outcome
        run_on(context, borrow(pool));
        return true;
    }

    asio::io_context context{1};
    std::shared_ptr<connect_script> script = std::make_shared<connect_script>();
    slow_pool pool{context, slow_to_reset(script), {.max_size = 1}};
    slow_pool::lease_type holder;
    asio::cancellation_signal signal;
    told result;
};

TEST_CASE("async_acquire ends at every kind of cancellation wherever it is (row 26)")
{
    for (const auto at : stages) {
        for (const auto type : cancellations) {
            for (const bool started : {true, false}) {
                cancelled_acquire acquire(at);
                acquire.pool.async_acquire(
                    asio::bind_cancellation_slot(acquire.signal.slot(), acquire.result.handler()));
                if (started)
                    run_ready(acquire.context);
                acquire.signal.emit(type);
                run_ready(acquire.context);
                CAPTURE(static_cast<int>(at));
                CAPTURE(static_cast<unsigned>(type));
                CHECK(acquire.ended());
            }
        }
    }
}

template <class Filter>
asio::awaitable<void> filtered(slow_pool& pool, Filter filter)
{
    co_await asio::this_coro::reset_cancellation_state(filter);
    co_await pool.acquire();
}

TEST_CASE("a coroutine acquire ends at what the coroutine lets through and at no more (row 26)")
{
    for (const auto at : stages) {
        for (const auto type : cancellations) {
            for (const bool total : {true, false}) {
                cancelled_acquire acquire(at);
                const auto slot = acquire.signal.slot();
                const auto done = [&](const std::exception_ptr& error) {
                    ++acquire.result.times;
                    acquire.result.code = failure([&] {
                        if (error != nullptr)
                            std::rethrow_exception(error);
                    });
                };
                if (total)
                    asio::co_spawn(acquire.context,
                                   filtered(acquire.pool, asio::enable_total_cancellation()),
                                   asio::bind_cancellation_slot(slot, done));
                else
                    asio::co_spawn(acquire.context, borrow(acquire.pool),
                                   asio::bind_cancellation_slot(slot, done));
                run_ready(acquire.context);
                acquire.signal.emit(type);
                run_ready(acquire.context);
                CAPTURE(static_cast<int>(at));
                CAPTURE(static_cast<unsigned>(type));
                const bool let_through = total || type == cancellation_type::terminal;
                CHECK(acquire.ended() == let_through);
                if (!let_through) {
                    acquire.signal.emit(cancellation_type::terminal);
                    run_ready(acquire.context);
                    CHECK(acquire.ended());
                }
            }
        }
    }
}

} // namespace

} // namespace running_tests
