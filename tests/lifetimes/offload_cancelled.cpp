// SPDX-License-Identifier: BSL-1.0
// Row 19: an offloaded call is cancelled.
#include "offloading.hpp"

namespace offload_cancelled_tests {

namespace {

using namespace offloading;

// One call that can be cancelled, by the completion token.
struct cancellable {
    asio::cancellation_signal signal;
    answer told;

    auto token() { return asio::bind_cancellation_slot(signal.slot(), told.handler()); }
    void cancel(cancellation_type type) { signal.emit(type); }
};

constexpr std::array every_type{cancellation_type::terminal, cancellation_type::partial,
                                cancellation_type::total};

TEST_CASE("with on_cancel::wait the caller gets the result, and its next co_await throws (row 19)")
{
    gate held;
    worker_threads workers;
    asio::io_context context(1);
    asio::cancellation_signal signal;
    std::string progress;
    {
        opener open(held);
        const auto main = [&]() -> asio::awaitable<void> {
            const auto function = [&held] {
                held.pass();
                return 42;
            };
            const int result = co_await offload({.workers = &workers}, function);
            progress += "got " + std::to_string(result);
            try {
                co_await until_cancelled();
            } catch (const boost::system::system_error& error) {
                progress += error.code() == asio::error::operation_aborted ? ", cancelled" : "?";
            }
        };
        asio::co_spawn(context, main, asio::bind_cancellation_slot(signal.slot(), asio::detached));
        context.poll();
        held.reached.wait();
        signal.emit(cancellation_type::terminal);
        run_ready(context);
        CHECK(progress.empty());
        CHECK(workers.stats().running == 1);
    }
    context.run();
    CHECK(progress == "got 42, cancelled");
    CHECK(workers.join(no_limit));
    CHECK(workers.stats().abandoned == 0);
}

TEST_CASE("with on_cancel::abandon the caller goes on at once, and the thread stays taken (row 19)")
{
    for (const auto type : {cancellation_type::terminal, cancellation_type::partial}) {
        gate held;
        census functions;
        worker_threads workers({.max_threads = 1, .max_queued = 1});
        asio::io_context context(1);
        cancellable first;
        answer second;
        answer third;
        const offload_options abandon{.workers = &workers, .cancelled = on_cancel::abandon};
        {
            opener open(held);
            {
                const auto function = [&held, mark = counted(functions)] {
                    held.pass();
                    return 1;
                };
                async_offload(context.get_executor(), function, first.token(), abandon);
            }
            context.poll();
            held.reached.wait();
            first.cancel(type);
            run_ready(context);
            CHECK(first.told.times == 1);
            CHECK(first.told.code == asio::error::operation_aborted);
            CHECK(functions.alive() == 1);
            CHECK(workers.stats().running == 1);
            CHECK(workers.stats().idle == 0);
            CHECK(workers.stats().abandoned == 0);

            async_offload(context.get_executor(), [] { return 2; }, second.handler(), abandon);
            async_offload(context.get_executor(), [] { return 3; }, third.handler(), abandon);
            run_ready(context);
            CHECK(workers.stats().queued == 1);
            CHECK(workers.stats().threads == 1);
            CHECK(second.times == 0);
            CHECK(third.code == errc::queue_full);
        }
        support::run_until(context, [&] { return second.times == 1; });
        CHECK(second.value == 2);
        CHECK(functions.alive() == 0);
        CHECK(first.told.times == 1);
        CHECK(workers.join(no_limit));
        CHECK(workers.stats().completed == 2);
        CHECK(workers.stats().abandoned == 1);
    }
}

TEST_CASE("total cancellation leaves a function that runs alone (row 19)")
{
    for (const auto cancelled : {on_cancel::wait, on_cancel::abandon}) {
        gate held;
        worker_threads workers;
        asio::io_context context(1);
        cancellable call;
        {
            opener open(held);
            const auto function = [&held](std::stop_token stop) {
                held.pass();
                return stop.stop_requested() ? 1 : 2;
            };
            async_offload(context.get_executor(), function, call.token(),
                          {.workers = &workers, .cancelled = cancelled});
            context.poll();
            held.reached.wait();
            call.cancel(cancellation_type::total);
            run_ready(context);
            call.cancel(cancellation_type::none);
            run_ready(context);
            CHECK(call.told.times == 0);
        }
        context.run();
        CHECK(call.told.times == 1);
        CHECK(call.told.code == error_code());
        CHECK(call.told.value == 2);
    }
}

TEST_CASE("a function that is asked to stop gives the caller what it has (row 19)")
{
    for (const auto type : {cancellation_type::terminal, cancellation_type::partial}) {
        const auto seen = std::make_shared<until_stopped::view>();
        const at_exit end([&] { seen->over.release(); });
        worker_threads workers;
        asio::io_context context(1);
        cancellable call;
        async_offload(context.get_executor(), until_stopped(seen), call.token(),
                      {.workers = &workers});
        context.poll();
        seen->reached.wait();
        CHECK(call.told.times == 0);
        call.cancel(type);
        run_ready(context);
        REQUIRE(seen->token.stop_requested());
        context.run();
        CHECK(call.told.times == 1);
        CHECK(call.told.code == error_code());
        CHECK(call.told.value == 1);
        CHECK(workers.stats().completed == 1);
    }
}

TEST_CASE("a function that is abandoned is asked to stop too (row 19)")
{
    gate held;
    std::stop_token token;
    worker_threads workers;
    asio::io_context context(1);
    cancellable call;
    {
        opener open(held);
        const auto function = [&held, &token](std::stop_token stop) {
            token = std::move(stop);
            held.pass();
            return 1;
        };
        async_offload(context.get_executor(), function, call.token(),
                      {.workers = &workers, .cancelled = on_cancel::abandon});
        context.poll();
        held.reached.wait();
        CHECK(!token.stop_requested());
        call.cancel(cancellation_type::terminal);
        context.run();
        CHECK(token.stop_requested());
        CHECK(call.told.code == asio::error::operation_aborted);
    }
    CHECK(workers.join(no_limit));
    CHECK(workers.stats().completed == 1);
    CHECK(workers.stats().abandoned == 1);
}

TEST_CASE("a call that waits for a thread is withdrawn by every cancellation (row 19)")
{
    for (const auto cancelled : {on_cancel::wait, on_cancel::abandon}) {
        gate busy;
        census functions;
        std::atomic<int> ran{0};
        worker_threads workers({.max_threads = 1});
        asio::io_context context(1);
        answer first;
        std::array<cancellable, every_type.size()> waiting;
        answer last;
        const offload_options there{.workers = &workers, .cancelled = cancelled};
        {
            opener open(busy);
            const auto hold = [&busy] {
                busy.pass();
                return 1;
            };
            async_offload(context.get_executor(), hold, first.handler(), there);
            context.poll();
            busy.reached.wait();
            for (auto& each : waiting) {
                const auto function = [&ran, mark = counted(functions)] { return ++ran; };
                async_offload(context.get_executor(), function, each.token(), there);
            }
            async_offload(context.get_executor(), [] { return 9; }, last.handler(), there);
            run_ready(context);
            REQUIRE(workers.stats().queued == 4);
            for (std::size_t i = 0; i != waiting.size(); ++i) {
                waiting[i].cancel(every_type[i]);
                run_ready(context);
                CHECK(workers.stats().queued == 3 - i);
                CHECK(waiting[i].told.times == 1);
                CHECK(waiting[i].told.code == asio::error::operation_aborted);
                CHECK(functions.alive() == static_cast<int>(waiting.size() - i) - 1);
                waiting[i].cancel(every_type[i]); // once more, for nobody
            }
        }
        context.run();
        CHECK(first.value == 1);
        CHECK(last.value == 9);
        CHECK(ran == 0);
        CHECK(workers.join(no_limit));
        CHECK(workers.stats().completed == 2);
        CHECK(workers.stats().abandoned == 0);
    }
}

TEST_CASE(
    "a coroutine's call is withdrawn, and the coroutine told, by what it lets through (row 19)")
{
    gate busy;
    worker_threads workers({.max_threads = 1});
    asio::io_context context(1);
    answer first;
    asio::cancellation_signal signal;
    std::atomic<bool> ran{false};
    std::string progress;
    {
        opener open(busy);
        const auto hold = [&busy] {
            busy.pass();
            return 1;
        };
        async_offload(context.get_executor(), hold, first.handler(), {.workers = &workers});
        context.poll();
        busy.reached.wait();
        const auto main = [&]() -> asio::awaitable<void> {
            const auto function = [&ran] { ran = true; };
            try {
                co_await offload({.workers = &workers}, function);
            } catch (const boost::system::system_error& error) {
                progress = error.code() == asio::error::operation_aborted ? "cancelled" : "?";
            }
        };
        asio::co_spawn(context, main, asio::bind_cancellation_slot(signal.slot(), asio::detached));
        run_ready(context);
        REQUIRE(workers.stats().queued == 1);
        signal.emit(cancellation_type::total);
        run_ready(context);
        CHECK(workers.stats().queued == 1);
        signal.emit(cancellation_type::terminal);
        run_ready(context);
        CHECK(workers.stats().queued == 0);
        CHECK(progress == "cancelled");
    }
    context.run();
    CHECK(!ran);
    CHECK(first.value == 1);
}

TEST_CASE("a cancellation that comes when the result is there changes nothing (row 19)")
{
    for (const auto cancelled : {on_cancel::wait, on_cancel::abandon}) {
        gate held;
        opener open(held);
        worker_threads workers({.max_threads = 1});
        asio::io_context context(1);
        cancellable call;
        const auto function = [&held] {
            held.pass();
            return 8;
        };
        async_offload(context.get_executor(), function, call.token(),
                      {.workers = &workers, .cancelled = cancelled});
        context.poll();
        held.reached.wait();
        open.now();
        drain(workers);
        CHECK(call.told.times == 0);
        call.cancel(cancellation_type::terminal);
        context.run();
        CHECK(call.told.times == 1);
        CHECK(call.told.value == 8);
    }
}

// Has a slot, and no executor, so that co_spawn passes a signal on without its context.
struct direct_slot {
    using cancellation_slot_type = asio::cancellation_slot;

    cancellation_slot_type get_cancellation_slot() const noexcept { return slot; }
    void operator()(const std::exception_ptr&) const {}

    asio::cancellation_slot slot;
};

TEST_CASE("a signal that outlives the caller and its context reaches nobody (row 19)")
{
    for (const auto cancelled : {on_cancel::wait, on_cancel::abandon}) {
        gate held;
        worker_threads workers({.max_threads = 1});
        std::optional<asio::io_context> context(std::in_place, 1);
        std::array<asio::cancellation_signal, 2> signals;
        std::atomic<int> ran{0};
        {
            opener open(held);
            for (auto& each : signals) {
                const auto main = [&, cancelled]() -> asio::awaitable<void> {
                    const auto function = [&held, &ran] {
                        if (ran++ == 0)
                            held.pass();
                    };
                    co_await offload({.workers = &workers, .cancelled = cancelled}, function);
                };
                asio::co_spawn(*context, main, direct_slot{each.slot()});
            }
            context->poll();
            held.reached.wait();
            context.reset();
            for (auto& each : signals)
                each.emit(cancellation_type::terminal);
        }
        CHECK(workers.join(no_limit));
        for (auto& each : signals)
            each.emit(cancellation_type::all);
        CHECK(ran == 1);
        CHECK(workers.stats().abandoned == 1);
    }
}

TEST_CASE(
    "where a cancellation and a thread meet, the call is withdrawn or has its result (row 19)")
{
    worker_threads workers({.max_threads = 1});
    int withdrawn = 0;
    int taken = 0;
    for (int i = 0; i != 1000; ++i) {
        asio::io_context context(1);
        gate busy;
        opener open(busy);
        answer first;
        cancellable call;
        std::atomic<int> ran{0};
        const auto hold = [&busy] {
            busy.pass();
            return 1;
        };
        async_offload(context.get_executor(), hold, first.handler(), {.workers = &workers});
        context.poll();
        busy.reached.wait();
        async_offload(context.get_executor(), [&ran] { return ++ran; }, call.token(),
                      {.workers = &workers});
        context.poll();
        open.now();
        for (int k = 0; k != i % 4; ++k)
            std::this_thread::yield();
        call.cancel(every_type[static_cast<std::size_t>(i) % every_type.size()]);
        context.run();
        REQUIRE(first.value == 1);
        REQUIRE(call.told.times == 1);
        if (call.told.code == asio::error::operation_aborted) {
            ++withdrawn;
            REQUIRE(ran == 0);
        } else {
            ++taken;
            REQUIRE(call.told.code == error_code());
            REQUIRE(call.told.value == 1);
            REQUIRE(ran == 1);
        }
    }
    CHECK(withdrawn + taken == 1000);
    CHECK(workers.join(no_limit));
    CHECK(workers.stats().completed == static_cast<unsigned>(1000 + taken));
    CHECK(workers.stats().abandoned == 0);
}

TEST_CASE("where a cancellation and the end of a function meet, one of them is told (row 19)")
{
    worker_threads workers({.max_threads = 2});
    census results;
    int aborted = 0;
    int taken = 0;
    for (int i = 0; i != 1000; ++i) {
        asio::io_context context(1);
        const auto held = std::make_shared<gate>(); // an abandoned function may be the last to go
        opener open(*held);
        asio::cancellation_signal signal;
        int times = 0;
        const auto function = [held, &results] {
            held->pass();
            return counted(results);
        };
        const auto handler = [&](const std::exception_ptr& error, const counted& result) {
            ++times;
            REQUIRE((error == nullptr) == static_cast<bool>(result));
            ++(error == nullptr ? taken : aborted);
        };
        async_offload(context.get_executor(), function,
                      asio::bind_cancellation_slot(signal.slot(), handler),
                      {.workers = &workers, .cancelled = on_cancel::abandon});
        context.poll();
        held->reached.wait();
        open.now();
        for (int k = 0; k != i % 4; ++k)
            std::this_thread::yield();
        signal.emit(cancellation_type::terminal);
        context.run();
        REQUIRE(times == 1);
    }
    CHECK(workers.join(no_limit));
    CHECK(aborted + taken == 1000);
    CHECK(results.made > 0);
    CHECK(results.alive() == 0);
    CHECK(workers.stats().completed == 1000);
    CHECK(workers.stats().abandoned <= static_cast<unsigned>(aborted));
}

TEST_CASE("several threads may wait for the end of the functions that were abandoned (row 19)")
{
    gate held;
    worker_threads workers({.max_threads = 2});
    asio::io_context context(1);
    cancellable call;
    std::array<std::thread, 3> waiting;
    std::atomic<int> waited{0};
    {
        opener open(held);
        const auto function = [&held] {
            held.pass();
            return 1;
        };
        async_offload(context.get_executor(), function, call.token(),
                      {.workers = &workers, .cancelled = on_cancel::abandon});
        context.poll();
        held.reached.wait();
        call.cancel(cancellation_type::terminal);
        context.run();
        CHECK(call.told.code == asio::error::operation_aborted);
        CHECK(!workers.join(std::chrono::milliseconds(0)));
        for (auto& each : waiting)
            each = std::thread([&] { waited += workers.join(no_limit); });
        CHECK(waited == 0);
    }
    for (auto& each : waiting)
        each.join();
    CHECK(waited == 3);
    CHECK(workers.stats().threads == 0);
    CHECK(workers.stats().abandoned == 1);
}

} // namespace

} // namespace offload_cancelled_tests
