// SPDX-License-Identifier: BSL-1.0
// Row 18: an offloaded call outlives its context.
#include "offloading.hpp"

namespace offload_contexts_tests {

namespace {

using namespace offloading;

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

TEST_CASE_TEMPLATE("the context dies before the call begins (row 18)", Kind, polled, pooled)
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

TEST_CASE_TEMPLATE("the context dies while its call waits for a thread (row 18)", Kind, polled,
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

TEST_CASE_TEMPLATE("the context dies while its function runs (row 18)", Kind, polled, pooled)
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

TEST_CASE_TEMPLATE("the context dies between the wake and the caller (row 18)", Kind, polled,
                   pooled)
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

TEST_CASE("the context dies after the caller has gone on (row 18)")
{
    books all;
    worker_threads workers;
    for (int i = 0; i != 1000; ++i) {
        auto context = std::make_unique<asio::io_context>(1);
        call(*context, all, workers, form_of(i));
        support::run_until(*context, [&] { return all.resumed == i + 1; });
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

TEST_CASE_TEMPLATE("the context dies at the moment at which its functions end (row 18)", Kind,
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

// Says so to another thread, and orders nothing else: what both do around it races as it would if
// neither knew of the other, so that the thread sanitizer sees it.
class sign {
public:
    void give() noexcept { given_.store(true, std::memory_order_relaxed); }
    void await() const
    {
        spin_until([this] { return given_.load(std::memory_order_relaxed); });
    }

private:
    std::atomic<bool> given_{false};
};

TEST_CASE("a function ends while its caller's reactor gives its timers up (row 18)")
{
    for (const auto how : {form::coroutine, form::token}) {
        CAPTURE(static_cast<int>(how));
        books all;
        worker_threads workers({.max_threads = 1});
        std::latch running{1};
        sign given_up;
        sign counted_as_ended;
        const auto function = [&all, &running, &given_up] {
            running.count_down();
            given_up.await();
            return counted(all.results);
        };
        auto context = std::make_unique<asio::io_context>(1);
        if (how == form::coroutine)
            asio::co_spawn(*context, offload({.workers = &workers}, function), asio::detached);
        else
            async_offload(context->get_executor(), function, asio::detached, {.workers = &workers});
        context->poll();
        running.wait();

        // The reactor destroys the handler of the youngest timer first, when it has taken the
        // timers off its list without a lock. The timer itself goes last: it would take that lock.
        auto youngest = std::make_unique<asio::steady_timer>(*context, for_ever);
        std::shared_ptr<void> at_its_end(nullptr, [&given_up, &counted_as_ended](void*) {
            given_up.give();
            counted_as_ended.await();
        });
        youngest->async_wait([held = std::move(at_its_end)](error_code) {});
        asio::post(*context, [last = std::move(youngest)] {});
        std::thread dies([&context] { context.reset(); });
        // The call is counted when nothing can keep its caller from being woken any more.
        spin_until([&workers] { return workers.stats().completed == 1; });
        counted_as_ended.give();
        dies.join();
        check_still_working(workers);
        CHECK(workers.stats().abandoned == 0); // its caller was still there
        CHECK(all.results.made > 0);
        all.check_none_alive();
    }
}

TEST_CASE("contexts of several threads die while their functions begin and end (row 18)")
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

TEST_CASE("callers of a context that two threads run get every wake-up (row 18)")
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

TEST_CASE("a thread_pool is stopped and dies while its coroutines make calls (row 18)")
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
            support::run_until(*context, [&] { return told[1].times + told[2].times == 2; });
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

TEST_CASE("the threads are destroyed while calls run and wait, and every caller is told (row 18)")
{
    destroy_threads(false);
}

TEST_CASE("the threads are destroyed while calls run and wait, and then the context (row 18)")
{
    destroy_threads(true);
}

TEST_CASE("threads are destroyed and contexts die at the same moment (row 18)")
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

TEST_CASE("a function may destroy the threads that it runs on (row 18)")
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

TEST_CASE("a function may destroy the context of its caller (row 18)")
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

TEST_CASE("what dies with a context may close the threads, and no caller is resumed (row 18)")
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

TEST_CASE("a dying caller whose function makes calls of its own when asked to stop (row 18)")
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

} // namespace

} // namespace offload_contexts_tests
