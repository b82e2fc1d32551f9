// SPDX-License-Identifier: BSL-1.0
// Row 17: an offloaded call outlives its caller.
#include "offloading.hpp"

namespace offload_callers_tests {

namespace {

using namespace offloading;

// An argument that notes where the last of its kind ends.
struct traveller {
    struct log {
        census all;
        std::mutex mutex;
        std::thread::id last_end;
    };

    explicit traveller(log& all) : notes(&all), mark(all.all) {}
    traveller(const traveller& other) = default;
    ~traveller()
    {
        const std::lock_guard lock(notes->mutex);
        notes->last_end = std::this_thread::get_id();
    }

    log* notes;
    counted mark;
};

TEST_CASE("function and arguments live on the worker, and are destroyed there, once (row 17)")
{
    traveller::log functions;
    traveller::log arguments;
    worker_threads workers;
    asio::io_context context(1);
    std::thread::id ran_on;
    const auto main = [&]() -> asio::awaitable<void> {
        const traveller captured(functions);
        const traveller argument(arguments);
        const auto function = [captured, &ran_on](const traveller& theirs) {
            ran_on = std::this_thread::get_id();
            return theirs.notes->all.alive();
        };
        const int functions_before = functions.all.alive();
        const int arguments_before = arguments.all.alive();
        CHECK(co_await offload({.workers = &workers}, function, argument) == arguments_before + 1);
        CHECK(functions.all.alive() == functions_before);
        CHECK(arguments.all.alive() == arguments_before);
        CHECK(functions.last_end == ran_on);
        CHECK(arguments.last_end == ran_on);
        CHECK(ran_on != std::this_thread::get_id());
    };
    run_on(context, main());
    CHECK(functions.all.alive() == 0);
    CHECK(arguments.all.alive() == 0);
}

TEST_CASE("a function goes on with what is its own when its caller is destroyed (row 17)")
{
    gate held;
    census arguments;
    std::string seen;
    worker_threads workers;
    std::optional<asio::io_context> context(std::in_place, 1);
    {
        opener open(held);
        const auto main = [&]() -> asio::awaitable<void> {
            const std::string long_enough_for_the_heap(100, 'x');
            const counted argument(arguments);
            const auto function = [&held, &seen](const std::string& text, const counted&) {
                held.pass();
                seen = text;
            };
            co_await offload({.workers = &workers}, function, long_enough_for_the_heap, argument);
        };
        asio::co_spawn(*context, main, asio::detached);
        context->poll();
        held.reached.wait();
        context.reset();
        CHECK(arguments.alive() == 1);
        CHECK(workers.stats().running == 1);
    }
    CHECK(workers.join(no_limit));
    CHECK(seen == std::string(100, 'x'));
    CHECK(arguments.alive() == 0);
    CHECK(workers.stats().completed == 1);
    CHECK(workers.stats().abandoned == 1);
}

TEST_CASE("a call that never ran keeps nothing, though somebody could still cancel it (row 17)")
{
    gate held;
    census arguments;
    worker_threads workers({.max_threads = 1});
    asio::cancellation_signal outlives;
    std::optional<asio::io_context> context(std::in_place, 1);
    {
        opener open(held);
        const auto busy = [&held] { held.pass(); };
        async_offload(context->get_executor(), busy, [](const std::exception_ptr&) {},
                      {.workers = &workers});
        const auto waits = [&]() -> asio::awaitable<void> {
            const counted argument(arguments);
            const auto function = [](const counted&) {};
            co_await offload({.workers = &workers}, function, argument);
        };
        asio::co_spawn(
            *context, waits,
            asio::bind_cancellation_slot(outlives.slot(), [](const std::exception_ptr&) {}));
        context->poll();
        held.reached.wait();
        CHECK(workers.stats().queued == 1);
        CHECK(arguments.alive() == 2);
        context.reset();
        CHECK(workers.stats().queued == 0);
        CHECK(arguments.alive() == 0);
    }
    CHECK(workers.join(no_limit));
}

TEST_CASE("a call that was refused keeps nothing, though somebody could still cancel it (row 17)")
{
    gate held;
    census arguments;
    worker_threads workers({.max_threads = 1});
    asio::cancellation_signal outlives;
    std::optional<asio::io_context> context(std::in_place, 1);
    {
        opener open(held);
        const auto busy = [&held] { held.pass(); };
        async_offload(context->get_executor(), busy, [](const std::exception_ptr&) {},
                      {.workers = &workers});
        const auto waits = [&]() -> asio::awaitable<void> {
            const counted argument(arguments);
            const auto function = [](const counted&) {};
            co_await offload({.workers = &workers}, function, argument);
        };
        asio::co_spawn(
            *context, waits,
            asio::bind_cancellation_slot(outlives.slot(), [](const std::exception_ptr&) {}));
        context->poll();
        held.reached.wait();
        CHECK(workers.stats().queued == 1);
        CHECK(arguments.alive() == 2);
        workers.close(); // which the caller does not hear any more
        CHECK(workers.stats().queued == 0);
        context.reset();
        CHECK(arguments.alive() == 0);
    }
    CHECK(workers.join(no_limit));
}

struct counted_error : std::runtime_error {
    explicit counted_error(census& of) : std::runtime_error("nobody hears this"), mark(of) {}
    counted mark;
};

TEST_CASE("what nobody takes, a result or an exception, is destroyed (row 17)")
{
    census results;
    for (const bool throws : {false, true}) {
        gate held;
        worker_threads workers;
        std::optional<asio::io_context> context(std::in_place, 1);
        {
            opener open(held);
            const auto function = [&] {
                held.pass();
                if (throws)
                    throw counted_error(results);
                return counted(results);
            };
            async_offload(context->get_executor(), function,
                          [](const std::exception_ptr&, const counted&) {}, {.workers = &workers});
            context->poll();
            held.reached.wait();
            context.reset();
        }
        CHECK(workers.join(no_limit));
        CHECK(workers.stats().abandoned == 1);
        CHECK(results.made > 0);
        CHECK(results.alive() == 0);
    }
}

// Copying it the second time fails.
struct uncopyable_twice {
    explicit uncopyable_twice(census& of) : mark(of) {}
    uncopyable_twice(const uncopyable_twice& other)
        : mark(other.mark), copies_left(other.copies_left - 1)
    {
        if (copies_left < 0)
            throw std::length_error("no more copies");
    }

    counted mark;
    int copies_left = 1;
};

TEST_CASE(
    "where an argument cannot be copied the function does not run, and nothing stays (row 17)")
{
    census arguments;
    std::atomic<bool> ran{false};
    worker_threads workers;
    asio::io_context context(1);
    const auto main = [&]() -> asio::awaitable<void> {
        const counted first(arguments);
        const uncopyable_twice second(arguments);
        const auto function = [&ran](const counted&, const uncopyable_twice&) { ran = true; };
        co_await offload({.workers = &workers}, function, first, second);
    };
    CHECK_THROWS_AS(run_on(context, main()), std::length_error);
    CHECK(arguments.made >= 3);
    CHECK(arguments.alive() == 0);
    CHECK(workers.join(no_limit));
    CHECK(!ran);
    CHECK(workers.stats().completed == 0);
}

TEST_CASE(
    "a function that takes a stop_token is asked to stop when its caller is destroyed (row 17)")
{
    for (const auto cancelled : {on_cancel::wait, on_cancel::abandon}) {
        const auto seen = std::make_shared<until_stopped::view>();
        const at_exit end([&] { seen->over.release(); });
        worker_threads workers;
        std::optional<asio::io_context> context(std::in_place, 1);
        answer never;
        async_offload(context->get_executor(), until_stopped(seen), never.handler(),
                      {.workers = &workers, .cancelled = cancelled});
        context->poll();
        seen->reached.wait();
        CHECK(workers.stats().running == 1);
        CHECK(!seen->token.stop_requested());
        context.reset();
        REQUIRE(seen->token.stop_requested());
        CHECK(workers.join(no_limit));
        CHECK(workers.stats().completed == 1);
        CHECK(never.times == 0);
    }
}

TEST_CASE("a caller that goes on by itself does not ask its function to stop (row 17)")
{
    worker_threads workers;
    asio::io_context context(1);
    std::stop_token kept;
    const auto function = [&kept](std::stop_token stop) { kept = std::move(stop); };
    run_on(context, offload({.workers = &workers}, function));
    CHECK(!kept.stop_requested());
}

TEST_CASE("what is lent belongs to the caller, who waits (row 17)")
{
    worker_threads workers;
    asio::io_context context(1);
    const auto main = [&]() -> asio::awaitable<void> {
        std::vector<int> numbers{1, 2, 3};
        const std::string text(100, 'x');
        const auto function = [](std::vector<int>& filled, std::string_view seen) {
            filled.push_back(static_cast<int>(seen.size()));
        };
        co_await offload({.workers = &workers}, function, std::ref(numbers),
                         loopsafe::borrowed(std::string_view(text)));
        CHECK(numbers.back() == 100);
    };
    run_on(context, main());
}

} // namespace

} // namespace offload_callers_tests
