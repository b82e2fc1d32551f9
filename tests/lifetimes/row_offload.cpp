// SPDX-License-Identifier: BSL-1.0
// Rows 17, 18 and 19: offloaded calls that outlive their caller or its context, or are cancelled.

#include <loopsafe/thread_offload.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <latch>
#include <lifetimes/row_support.hpp>
#include <lifetimes/when_dying.hpp>
#include <mutex>
#include <semaphore>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

using namespace row;
using asio::cancellation_type;
using loopsafe::async_offload;
using loopsafe::offload;
using loopsafe::offload_options;
using loopsafe::on_cancel;
using loopsafe::worker_options;
using loopsafe::worker_threads;

constexpr auto no_limit = std::chrono::milliseconds::max();

// What is made and what is destroyed, on whichever thread.
struct census {
    std::atomic<int> made{0};
    std::atomic<int> gone{0};

    int alive() const { return made - gone; }
};

// One more of something, from its making to its end. A default-constructed one is not counted.
class counted {
public:
    counted() = default;
    explicit counted(census& of) noexcept : of_(&of) { ++of.made; }
    counted(const counted& other) noexcept : of_(other.of_)
    {
        if (of_ != nullptr)
            ++of_->made;
    }
    counted& operator=(const counted&) = delete;
    ~counted()
    {
        if (of_ != nullptr)
            ++of_->gone;
    }

    explicit operator bool() const noexcept { return of_ != nullptr; }

private:
    census* of_ = nullptr;
};

// Holds a function until the test lets it go.
struct gate {
    std::latch reached{1};
    std::latch open{1};

    void pass()
    {
        reached.count_down();
        open.wait();
    }
};

// Lets go of a function whatever else happens, so that a test that fails ends.
class opener {
public:
    explicit opener(gate& of) : of_(of) {}
    opener(const opener&) = delete;
    ~opener() { now(); }

    void now()
    {
        if (!std::exchange(done_, true))
            of_.open.count_down();
    }

private:
    gate& of_;
    bool done_ = false;
};

template <class Condition>
void spin_until(Condition condition)
{
    while (!condition())
        std::this_thread::yield();
}

// The result of one call, as a completion handler gets it.
struct answer {
    int times = 0;
    error_code code;
    int value = 0;

    auto handler()
    {
        return [this](const std::exception_ptr& error, int result) {
            ++times;
            value = result;
            code = failure([&] {
                if (error != nullptr)
                    std::rethrow_exception(error);
            });
        };
    }
};

// ------------------------------------------------------------------------------------------------
// Row 17

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

TEST_CASE("row 17: function and arguments live on the worker, and are destroyed there, once")
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

TEST_CASE("row 17: a function goes on with what is its own when its caller is destroyed")
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

struct counted_error : std::runtime_error {
    explicit counted_error(census& of) : std::runtime_error("nobody hears this"), mark(of) {}
    counted mark;
};

TEST_CASE("row 17: what nobody takes, a result or an exception, is destroyed")
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

TEST_CASE("row 17: where an argument cannot be copied the function does not run, and nothing stays")
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

// Runs until it is asked to stop, or the test is over; gives whether it was asked.
class until_stopped {
public:
    struct view {
        std::latch reached{1};
        std::counting_semaphore<> over{0};
        std::stop_token token;
    };

    explicit until_stopped(std::shared_ptr<view> seen) : seen_(std::move(seen)) {}
    int operator()(const std::stop_token& stop) const
    {
        const std::stop_callback note(stop, [this] { seen_->over.release(); });
        seen_->token = stop;
        seen_->reached.count_down();
        seen_->over.acquire();
        return stop.stop_requested() ? 1 : 0;
    }

private:
    std::shared_ptr<view> seen_;
};

TEST_CASE(
    "row 17: a function that takes a stop_token is asked to stop when its caller is destroyed")
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

TEST_CASE("row 17: a caller that goes on by itself does not ask its function to stop")
{
    worker_threads workers;
    asio::io_context context(1);
    std::stop_token kept;
    const auto function = [&kept](std::stop_token stop) { kept = std::move(stop); };
    run_on(context, offload({.workers = &workers}, function));
    CHECK(!kept.stop_requested());
}

TEST_CASE("row 17: what is lent belongs to the caller, who waits")
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

// ------------------------------------------------------------------------------------------------
// Row 18

enum class form { coroutine, token };

struct books {
    census frames;
    census functions;
    census results;
    std::atomic<int> resumed{0};

    void check_none_alive() const
    {
        CHECK(frames.alive() == 0);
        CHECK(functions.alive() == 0);
        CHECK(results.alive() == 0);
    }
};

// A function with a mark of its own, that gives a result with one.
class job {
public:
    explicit job(books& all, gate* held = nullptr) : all_(all), mark_(all.functions), held_(held) {}
    counted operator()() const
    {
        if (held_ != nullptr)
            held_->pass();
        return counted(all_.results);
    }

private:
    books& all_;
    counted mark_;
    gate* held_;
};

asio::awaitable<void> until_cancelled()
{
    asio::steady_timer timer(co_await asio::this_coro::executor, for_ever);
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> caller(books& all, worker_threads& workers, gate* held)
{
    const counted frame(all.frames);
    const job function(all, held);
    const auto result = co_await offload({.workers = &workers}, function);
    ++all.resumed;
    co_await until_cancelled();
}

template <class Context>
void call(Context& context, books& all, worker_threads& workers, form how, gate* held = nullptr)
{
    if (how == form::coroutine) {
        asio::co_spawn(context, caller(all, workers, held), asio::detached);
        return;
    }
    const job function(all, held);
    auto handler = [&all, frame = counted(all.frames)](const std::exception_ptr&, const counted&) {
        ++all.resumed;
    };
    async_offload(context.get_executor(), function, std::move(handler), {.workers = &workers});
}

// Waits until every worker is through with what it was given before. The threads must be one.
void drain(worker_threads& workers)
{
    asio::io_context context(1);
    run_on(context, offload({.workers = &workers}, [] {}));
}

// A context on the heap, in which calls can be prepared step by step.
struct polled {
    using type = asio::io_context;
    static constexpr int times = 1000;

    std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>(1);

    void start(worker_threads&, std::size_t) { context->poll(); }
    void hold() {}
    void let_go() {}
};

// A thread that runs the context as long as it is not held.
struct pooled {
    using type = asio::thread_pool;
    static constexpr int times = 200;

    std::unique_ptr<asio::thread_pool> context = std::make_unique<asio::thread_pool>(1);
    std::unique_ptr<gate> held;

    void start(worker_threads& workers, std::size_t queued)
    {
        if (queued != 0)
            spin_until([&] { return workers.stats().queued == queued; });
    }
    void hold()
    {
        held = std::make_unique<gate>();
        asio::post(*context, [this] { held->pass(); });
        held->reached.wait();
    }
    void let_go()
    {
        context->stop();
        held->open.count_down();
    }
};

// Every fourth context is destroyed by a thread that has not made it.
template <class Context>
void destroy(std::unique_ptr<Context>& context, int round)
{
    if (round % 4 == 3)
        std::thread([&] { context.reset(); }).join();
    else
        context.reset();
}

form form_of(int round)
{
    return round % 2 == 0 ? form::coroutine : form::token;
}

void check_still_working(worker_threads& workers)
{
    asio::io_context context(1);
    CHECK(run_on(context, offload({.workers = &workers}, [] { return 7; })) == 7);
    CHECK(workers.join(no_limit));
    CHECK(workers.stats().threads + workers.stats().queued + workers.stats().running == 0);
}

TEST_CASE_TEMPLATE("row 18: the context dies before the call begins", Kind, polled, pooled)
{
    books all;
    worker_threads workers;
    for (int i = 0; i != Kind::times; ++i) {
        Kind kind;
        kind.hold();
        call(*kind.context, all, workers, form_of(i));
        const job function(all);
        asio::co_spawn(*kind.context, offload({.workers = &workers}, function), asio::detached);
        const auto never_awaited = offload({.workers = &workers}, function);
        kind.let_go();
        destroy(kind.context, i);
        REQUIRE(all.frames.alive() == 0);
        REQUIRE(all.functions.alive() == 2); // the one here, and the one that is never awaited
    }
    all.check_none_alive();
    CHECK(all.frames.made >= Kind::times);
    CHECK(all.resumed == 0);
    CHECK(workers.stats().threads + workers.stats().completed == 0);
    check_still_working(workers);
}

TEST_CASE_TEMPLATE("row 18: the context dies while its call waits for a thread", Kind, polled,
                   pooled)
{
    books all;
    worker_threads workers({.max_threads = 1});
    gate busy;
    asio::io_context other(1);
    call(other, all, workers, form::token, &busy);
    other.poll();
    busy.reached.wait();
    {
        opener open(busy);
        for (int i = 0; i != Kind::times; ++i) {
            Kind kind;
            call(*kind.context, all, workers, form_of(i));
            call(*kind.context, all, workers, form_of(i + 1));
            kind.start(workers, 2);
            REQUIRE(workers.stats().queued == 2);
            destroy(kind.context, i);
            REQUIRE(workers.stats().queued == 0);
            REQUIRE(all.frames.alive() == 1);
            REQUIRE(all.functions.alive() == 1);
        }
        CHECK(all.resumed == 0);
        CHECK(workers.stats().running == 1);
    }
    other.run();
    CHECK(all.resumed == 1);
    all.check_none_alive();
    CHECK(workers.stats().completed == 1);
    check_still_working(workers);
    CHECK(workers.stats().abandoned == 0);
}

TEST_CASE_TEMPLATE("row 18: the context dies while its function runs", Kind, polled, pooled)
{
    books all;
    worker_threads workers({.max_threads = 1});
    for (int i = 0; i != Kind::times; ++i) {
        Kind kind;
        gate held;
        opener open(held);
        call(*kind.context, all, workers, form_of(i), &held);
        kind.start(workers, 0);
        held.reached.wait();
        destroy(kind.context, i);
        REQUIRE(all.frames.alive() == 0);
        REQUIRE(all.functions.alive() == 1);
        REQUIRE(workers.stats().running == 1);
        open.now();
        drain(workers);
        REQUIRE(all.functions.alive() == 0);
    }
    all.check_none_alive();
    CHECK(all.results.made >= Kind::times);
    CHECK(all.resumed == 0);
    CHECK(workers.stats().abandoned == static_cast<unsigned>(Kind::times));
    CHECK(workers.stats().threads == 1);
    check_still_working(workers);
}

TEST_CASE_TEMPLATE("row 18: the context dies between the wake and the caller", Kind, polled, pooled)
{
    books all;
    worker_threads workers({.max_threads = 1});
    for (int i = 0; i != Kind::times; ++i) {
        Kind kind;
        gate held;
        opener open(held);
        call(*kind.context, all, workers, form_of(i), &held);
        kind.start(workers, 0);
        held.reached.wait();
        kind.hold();
        open.now();
        drain(workers);
        REQUIRE(all.functions.alive() + all.resumed ==
                (form_of(i) == form::coroutine ? 1 : 0)); // the coroutine's own
        REQUIRE(all.results.alive() == 1);
        kind.let_go();
        destroy(kind.context, i);
        REQUIRE(all.frames.alive() == 0);
        REQUIRE(all.results.alive() == 0);
    }
    all.check_none_alive();
    CHECK(all.resumed == 0);
    CHECK(workers.stats().abandoned == 0);
    check_still_working(workers);
}

TEST_CASE("row 18: the context dies after the caller has gone on")
{
    books all;
    worker_threads workers;
    for (int i = 0; i != 1000; ++i) {
        auto context = std::make_unique<asio::io_context>(1);
        call(*context, all, workers, form_of(i));
        unit::run_until(*context, [&] { return all.resumed == i + 1; });
        REQUIRE(all.frames.alive() == (form_of(i) == form::coroutine ? 1 : 0));
        destroy(context, i);
        REQUIRE(all.frames.alive() == 0);
    }
    all.check_none_alive();
    CHECK(all.results.made >= 1000);
    CHECK(workers.stats().completed == 1000);
    CHECK(workers.stats().abandoned == 0);
    check_still_working(workers);
}

TEST_CASE_TEMPLATE("row 18: the context dies at the moment at which its functions end", Kind,
                   polled, pooled)
{
    books all;
    worker_threads workers({.max_threads = 3});
    for (int i = 0; i != Kind::times; ++i) {
        Kind kind;
        std::array<gate, 3> held;
        for (auto& each : held)
            call(*kind.context, all, workers, form_of(i), &each);
        call(*kind.context, all, workers, form_of(i)); // which may begin just then
        kind.start(workers, 1);
        for (auto& each : held)
            each.reached.wait();
        for (auto& each : held)
            each.open.count_down();
        destroy(kind.context, i);
        REQUIRE(all.frames.alive() == 0);
        spin_until([&] { return workers.stats().running + workers.stats().queued == 0; });
    }
    check_still_working(workers);
    all.check_none_alive();
    CHECK(all.frames.made >= 4 * Kind::times);
    CHECK(workers.stats().completed >= static_cast<unsigned>(3 * Kind::times));
}

TEST_CASE("row 18: contexts of several threads die while their functions begin and end")
{
    books all;
    worker_threads first({.max_threads = 2});
    worker_threads second({.max_threads = 2, .idle_timeout = std::chrono::milliseconds(0)});
    const auto live_and_die = [&] {
        for (int i = 0; i != 250; ++i) {
            asio::io_context context(1);
            for (int k = 0; k != 3; ++k)
                call(context, all, k == 1 ? second : first, form_of(i + k));
            for (int k = 0; k != i % 8; ++k)
                context.poll();
        }
    };
    std::array<std::thread, 3> threads;
    for (auto& each : threads)
        each = std::thread(live_and_die);
    for (auto& each : threads)
        each.join();
    check_still_working(first);
    check_still_working(second);
    all.check_none_alive();
    CHECK(all.frames.made >= 3 * 3 * 250);
    CHECK(first.stats().refused + second.stats().refused == 0);
}

asio::awaitable<void> call_often(books& all, worker_threads& workers, int times)
{
    const counted frame(all.frames);
    const job function(all);
    for (int i = 0; i != times; ++i) {
        const auto result = co_await offload({.workers = &workers}, function);
        all.resumed += static_cast<bool>(result);
    }
}

TEST_CASE("row 18: callers of a context that two threads run get every wake-up")
{
    books all;
    worker_threads workers({.max_threads = 2});
    asio::io_context context(2);
    for (int i = 0; i != 4; ++i)
        asio::co_spawn(context, call_often(all, workers, 250), asio::detached);
    std::thread other([&] { context.run(); });
    context.run();
    other.join();
    CHECK(all.resumed == 1000);
    all.check_none_alive();
    check_still_working(workers);
}

TEST_CASE("row 18: a thread_pool is stopped and dies while its coroutines make calls")
{
    books all;
    worker_threads workers({.max_threads = 2});
    for (int i = 0; i != 100; ++i) {
        const int before = all.resumed;
        asio::thread_pool context(2);
        for (int k = 0; k != 3; ++k)
            asio::co_spawn(context, call_often(all, workers, 1'000'000), asio::detached);
        spin_until([&] { return all.resumed != before; });
    }
    CHECK(all.frames.alive() == 0);
    check_still_working(workers);
    all.check_none_alive();
}

// What the callers of threads that are destroyed are told.
void destroy_threads(bool context_first)
{
    books all;
    for (int i = 0; i != 300; ++i) {
        auto workers = std::make_unique<worker_threads>(worker_options{.max_threads = 1});
        auto context = std::make_unique<asio::io_context>(1);
        gate held;
        opener open(held);
        std::array<answer, 3> told;
        for (auto& each : told) {
            const auto function = [mark = counted(all.functions), &held, one = &each == &told[0]] {
                if (one)
                    held.pass();
                return 5;
            };
            async_offload(context->get_executor(), function, each.handler(),
                          {.workers = workers.get()});
        }
        context->poll();
        held.reached.wait();
        REQUIRE(workers->stats().queued == 2);
        workers.reset();
        if (context_first) {
            destroy(context, i);
            REQUIRE(told[0].times + told[1].times + told[2].times == 0);
            REQUIRE(all.functions.alive() == 1);
            open.now();
        } else {
            unit::run_until(*context, [&] { return told[1].times + told[2].times == 2; });
            REQUIRE(told[1].code == errc::workers_closed);
            REQUIRE(told[2].code == errc::workers_closed);
            REQUIRE(told[0].times == 0);
            open.now();
            context->run();
            REQUIRE(told[0].times == 1);
            REQUIRE(told[0].code == error_code());
            REQUIRE(told[0].value == 5);
        }
        spin_until([&] { return all.functions.alive() == 0; });
    }
    CHECK(all.functions.made >= 900);
}

TEST_CASE("row 18: the threads are destroyed while calls run and wait, and every caller is told")
{
    destroy_threads(false);
}

TEST_CASE("row 18: the threads are destroyed while calls run and wait, and then the context")
{
    destroy_threads(true);
}

TEST_CASE("row 18: threads are destroyed and contexts die at the same moment")
{
    books all;
    for (int i = 0; i != 300; ++i) {
        auto workers = std::make_unique<worker_threads>(worker_options{.max_threads = 2});
        auto context = std::make_unique<asio::io_context>(1);
        for (int k = 0; k != 4; ++k)
            call(*context, all, *workers, form_of(i + k));
        context->poll();
        std::latch both(2);
        std::thread other([&] {
            both.arrive_and_wait();
            workers.reset();
        });
        both.arrive_and_wait();
        context.reset();
        other.join();
        REQUIRE(all.frames.alive() == 0);
    }
    spin_until([&] { return all.functions.alive() + all.results.alive() == 0; });
    CHECK(all.frames.made >= 1200);
}

TEST_CASE("row 18: a function may destroy the threads that it runs on")
{
    auto workers = std::make_unique<worker_threads>(worker_options{.max_threads = 1});
    asio::io_context context(1);
    answer destroys;
    answer waits;
    std::latch begin(1);
    const auto destroy_them = [&] {
        begin.wait();
        workers.reset();
        return 1;
    };
    const offload_options there{.workers = workers.get()};
    async_offload(context.get_executor(), destroy_them, destroys.handler(), there);
    async_offload(context.get_executor(), [] { return 2; }, waits.handler(), there);
    context.poll();
    begin.count_down();
    context.run();
    CHECK(destroys.times == 1);
    CHECK(destroys.value == 1);
    CHECK(waits.times == 1);
    CHECK(waits.code == errc::workers_closed);
    CHECK(workers == nullptr);
}

TEST_CASE("row 18: a function may destroy the context of its caller")
{
    books all;
    worker_threads workers({.max_threads = 1});
    for (int i = 0; i != 100; ++i) {
        auto context = std::make_unique<asio::io_context>(1);
        gate held;
        const auto function = [&held, &context] {
            held.pass();
            context.reset();
        };
        asio::co_spawn(
            *context,
            [](books& own, worker_threads& threads, auto body) -> asio::awaitable<void> {
                const counted frame(own.frames);
                co_await offload({.workers = &threads}, body);
                ++own.resumed;
            }(all, workers, function),
            asio::detached);
        call(*context, all, workers, form_of(i));
        context->poll();
        held.reached.wait();
        held.open.count_down();
        drain(workers);
        REQUIRE(context == nullptr);
        REQUIRE(all.frames.alive() == 0);
    }
    all.check_none_alive();
    CHECK(all.resumed == 0);
    check_still_working(workers);
}

TEST_CASE("row 18: what dies with a context may close the threads, and no caller is resumed")
{
    books all;
    worker_threads workers({.max_threads = 1});
    auto context = std::make_unique<asio::io_context>(1);
    gate held;
    {
        opener open(held);
        call(*context, all, workers, form::coroutine, &held);
        call(*context, all, workers, form::coroutine);
        call(*context, all, workers, form::token);
        context->poll();
        held.reached.wait();
        REQUIRE(workers.stats().queued == 2);
        lifetimes::when_dying close(*context, [&] { workers.close(); });
        context.reset();
        CHECK(all.frames.alive() == 0);
        CHECK(all.functions.alive() == 1);
        CHECK(workers.stats().queued == 0);
    }
    CHECK(workers.join(no_limit));
    CHECK(all.resumed == 0);
    all.check_none_alive();
}

TEST_CASE("row 18: a dying caller whose function makes calls of its own when asked to stop")
{
    worker_threads workers({.max_threads = 2});
    asio::io_context other(1);
    answer second;
    std::latch reached(1);
    std::optional<asio::io_context> context(std::in_place, 1);
    const auto function = [&](std::stop_token stop) {
        std::latch asked(1);
        const std::stop_callback call_again(stop, [&] {
            async_offload(other.get_executor(), [] { return 2; }, second.handler(),
                          {.workers = &workers});
            other.poll();
            asked.count_down();
        });
        reached.count_down();
        asked.wait();
    };
    async_offload(context->get_executor(), function, [](const std::exception_ptr&) {},
                  {.workers = &workers});
    context->poll();
    reached.wait();
    context.reset();
    other.run();
    CHECK(second.times == 1);
    CHECK(second.value == 2);
    CHECK(workers.join(no_limit));
    CHECK(workers.stats().completed == 2);
}

// ------------------------------------------------------------------------------------------------
// Row 19

// One call that can be cancelled, by the completion token.
struct cancellable {
    asio::cancellation_signal signal;
    answer told;

    auto token() { return asio::bind_cancellation_slot(signal.slot(), told.handler()); }
    void cancel(cancellation_type type) { signal.emit(type); }
};

constexpr std::array every_type{cancellation_type::terminal, cancellation_type::partial,
                                cancellation_type::total};

TEST_CASE("row 19: with on_cancel::wait the caller gets the result, and its next co_await throws")
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

TEST_CASE("row 19: with on_cancel::abandon the caller goes on at once, and the thread stays taken")
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
        unit::run_until(context, [&] { return second.times == 1; });
        CHECK(second.value == 2);
        CHECK(functions.alive() == 0);
        CHECK(first.told.times == 1);
        CHECK(workers.join(no_limit));
        CHECK(workers.stats().completed == 2);
        CHECK(workers.stats().abandoned == 1);
    }
}

TEST_CASE("row 19: total cancellation leaves a function that runs alone")
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

TEST_CASE("row 19: a function that is asked to stop gives the caller what it has")
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

TEST_CASE("row 19: a function that is abandoned is asked to stop too")
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

TEST_CASE("row 19: a call that waits for a thread is withdrawn by every cancellation")
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
    "row 19: a coroutine's call is withdrawn, and the coroutine told, by what it lets through")
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

TEST_CASE("row 19: a cancellation that comes when the result is there changes nothing")
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

TEST_CASE("row 19: a signal that outlives the caller and its context reaches nobody")
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

TEST_CASE("row 19: where a cancellation and a thread meet, the call is withdrawn or has its result")
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

TEST_CASE("row 19: where a cancellation and the end of a function meet, one of them is told")
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

TEST_CASE("row 19: several threads may wait for the end of the functions that were abandoned")
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
