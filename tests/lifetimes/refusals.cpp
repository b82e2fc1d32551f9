// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// Rows 1, 2, 4, 12 and 24: used from another context, after the home, at its address, without one.

#include <future>
#include <lifetimes/vocabulary.hpp>

namespace refusals_tests {

namespace {

using namespace lifetimes;

template <class Pool>
error_code async_acquire(Pool& pool, asio::io_context& context)
{
    told result;
    pool.async_acquire(context.get_executor(), result.handler());
    run_ready(context);
    CHECK(result.times == 1);
    return result.code;
}

// What a callback without an executor is told; the system_context calls it.
template <class Begin>
error_code answer_to_nobody(Begin begin)
{
    const auto answer = std::make_shared<std::promise<error_code>>();
    auto future = answer->get_future();
    begin([answer](error_code ec, auto&&...) { answer->set_value(ec); });
    return future.get();
}

TEST_CASE("a pool refuses another living context and still serves its home (row 1)")
{
    two_contexts contexts;
    const auto script = std::make_shared<connect_script>();
    strict_pool pool(contexts.a, scripted_connector(script));
    run_on(contexts.a, borrow(pool));

    const auto refused =
        thrown_by<context_error>([&] { run_on(contexts.b, borrow(pool)); }).report();
    CHECK(refused.code == errc::wrong_context);
    CHECK(refused.home.number == context_of(contexts.a).id().number());
    CHECK(refused.asked.number == context_of(contexts.b).id().number());
    CHECK(refused.home.alive);
    CHECK(async_acquire(pool, contexts.b) == errc::wrong_context);
    CHECK(!pool.try_acquire(contexts.b.get_executor()));
    CHECK(pool.stats().refused == 2);
    CHECK(script->attempts == 1);
    CHECK(script->probes == 0);

    CHECK(async_acquire(pool, contexts.a) == error_code());
    run_on(contexts.a, borrow(pool));
    CHECK(pool.stats().reused == 2);
    CHECK(script->open() == 1);
}

TEST_CASE("a tcp_stream refuses another living context before it sends a byte (row 1)")
{
    tcp_peer server;
    two_contexts contexts;
    tcp_pool pool(contexts.a, loopsafe::tcp_connector(server.endpoint()));
    auto lease = run_on(contexts.a, pool.acquire());
    auto peer = server.accept();

    int refused = 0;
    const auto misuse = [&]() -> asio::awaitable<void> {
        const auto [ec, n] = co_await asio::async_write(*lease, asio::buffer("stray", 5), as_tuple);
        refused += ec == errc::wrong_context && n == 0;
        const auto [waited] = co_await lease->async_wait(tcp::socket::wait_write, as_tuple);
        refused += waited == errc::wrong_context;
    };
    asio::co_spawn(contexts.b, misuse, asio::detached);
    contexts.b.poll();
    REQUIRE(refused == 2);
    CHECK(lease->is_clean());

    const auto use = [&]() -> asio::awaitable<void> {
        co_await asio::async_write(*lease, asio::buffer("home", 4), asio::use_awaitable);
    };
    run_on(contexts.a, use());
    CHECK(read(peer, 4) == "home");
    lease.release();
    run_on(contexts.a, borrow(pool));
    CHECK(pool.stats().reused == 1);
}

TEST_CASE("a context_bound value is refused to another living context (row 1)")
{
    two_contexts contexts;
    const context_bound<asio::steady_timer> timer(contexts.a, contexts.a);
    CHECK(failure([&] { timer.get(contexts.b.get_executor()); }) == errc::wrong_context);
    CHECK(failure([&] { timer.get(contexts.a.get_executor()); }) == error_code());
}

TEST_CASE("what is used after its home has died says so (row 2)")
{
    tcp_peer server;
    std::optional<asio::io_context> home(std::in_place, 1);
    tcp_pool pool(*home, loopsafe::tcp_connector(server.endpoint()));
    auto lease = run_on(*home, pool.acquire());
    const context_bound<asio::steady_timer> timer(*home, *home);
    const auto number = context_of(*home).id().number();
    home.reset();

    CHECK(!lease);
    CHECK(failure([&] { lease->close(); }) == errc::lease_expired);
    CHECK(lease.home().id().number() == number);

    asio::io_context other;
    const auto refused = thrown_by<context_error>([&] { run_on(other, borrow(pool)); }).report();
    CHECK(refused.code == errc::context_closed);
    CHECK(refused.home.number == number);
    CHECK(!refused.home.alive);
    CHECK(async_acquire(pool, other) == errc::context_closed);
    CHECK(answer_to_nobody([&](auto handler) { pool.async_acquire(handler); }) ==
          errc::context_closed);
    CHECK(!pool.try_acquire(other.get_executor()));
    CHECK(failure([&] { timer.get(other.get_executor()); }) == errc::context_closed);
    CHECK(pool.stats().connects == 1);
    CHECK(pool.stats().leased == 0);
    pool.invalidate();
    pool.thaw();
    pool.close();
}

TEST_CASE("a new context at the address of a dead one is another context (row 4)")
{
    mortal_context context;
    const auto* const address = &*context;
    const auto executor = context->get_executor();
    const auto first = context_of(*context);
    const auto script = std::make_shared<connect_script>();
    strict_pool strict(*context, scripted_connector(script));
    shelves_pool shelves{scripted_connector(script)};
    run_on(*context, borrow(strict));
    run_on(*context, borrow(shelves));
    const auto lease = run_on(*context, strict.acquire());
    const context_bound<asio::steady_timer> timer(*context, *context);

    context.reborn();
    REQUIRE(&*context == address);
    REQUIRE(context->get_executor() == executor);
    const auto second = context_of(*context);
    CHECK(first.id() != second.id());
    CHECK(!first.is(*context));
    CHECK(second.is(*context));

    CHECK(failure([&] { run_on(*context, borrow(strict)); }) == errc::context_closed);
    CHECK(async_acquire(strict, *context) == errc::context_closed);
    CHECK(!strict.try_acquire(executor));
    CHECK(failure([&] { timer.get(executor); }) == errc::context_closed);
    CHECK(!lease);
    CHECK(script->open() == 0);
    run_on(*context, borrow(shelves));
    CHECK(shelves.stats().connects == 2);
    CHECK(shelves.stats().reused == 0);
}

// Asks for its context's identity when it is shut down. Added by a service that is shut down, it
// gets its own turn in the second pass of Boost 1.82 and newer.
class late_asker : public asio::execution_context::service {
public:
    using key_type = late_asker;
    static inline asio::execution_context::id id;

    late_asker(asio::execution_context& context, loopsafe::context_ref& answer)
        : service(context), answer_(answer)
    {
    }

private:
    void shutdown() noexcept override { answer_ = context_of(context()); }

    loopsafe::context_ref& answer_;
};

class adds_late_asker : public asio::execution_context::service {
public:
    using key_type = adds_late_asker;
    static inline asio::execution_context::id id;

    adds_late_asker(asio::execution_context& context, loopsafe::context_ref& answer)
        : service(context), late_(std::make_unique<late_asker>(context, answer))
    {
    }

private:
    void shutdown() noexcept override
    {
        if (late_ != nullptr)
            asio::add_service(context(), late_.release());
    }

    std::unique_ptr<late_asker> late_;
};

TEST_CASE("a tag that a dying context was first asked for is dead at the next one (row 4)")
{
    mortal_context context;
    loopsafe::context_ref from_frame;
    loopsafe::context_ref from_service;
    const auto asks = [&]() -> asio::awaitable<void> {
        asio::steady_timer timer(co_await asio::this_coro::executor, for_ever);
        const at_exit ask([&] { from_frame = context_of(timer); });
        co_await timer.async_wait(asio::use_awaitable);
    };
    asio::co_spawn(*context, asks, asio::detached);
    context->poll();
    context.reborn();
    CHECK(from_frame);
    CHECK(!from_frame.is(*context));

    asio::add_service(*context, new adds_late_asker(*context, from_service));
    context.reborn();
    CHECK(!from_service.is(*context));
}

// With the safeguard gone the coroutine would wait on the other context, and then no order of
// destruction is safe.
void suspend_on_another_context(bool home_dies_first)
{
    tcp_peer server;
    std::optional<asio::io_context> home(std::in_place, 1);
    std::optional<asio::io_context> other(std::in_place, 1);
    tcp_pool pool(*home, loopsafe::tcp_connector(server.endpoint()));
    auto lease = run_on(*home, pool.acquire());
    const context_bound<asio::steady_timer> timer(*home, *home, for_ever);

    int refused = 0;
    const auto misuse = [&]() -> asio::awaitable<void> {
        const auto here = co_await asio::this_coro::executor;
        char byte = 0;
        const auto [ec, n] = co_await asio::async_read(*lease, asio::buffer(&byte, 1), as_tuple);
        refused += ec == errc::wrong_context;
        const auto [ready] = co_await lease->async_wait(tcp::socket::wait_read, as_tuple);
        refused += ready == errc::wrong_context;
        try {
            co_await timer.get(here).async_wait(asio::use_awaitable);
        } catch (const context_error&) {
            ++refused;
        }
        try {
            co_await borrow(pool);
        } catch (const context_error&) {
            ++refused;
        }
    };
    asio::co_spawn(*other, misuse, asio::detached);
    other->poll();
    CHECK(refused == 4);
    CHECK(other->stopped());
    (home_dies_first ? home : other).reset();
    (home_dies_first ? other : home).reset();
}

TEST_CASE("a coroutine is refused before it waits on what belongs to another context (row 12)")
{
    suspend_on_another_context(true);
    suspend_on_another_context(false);
}

// An executor that says nothing about a context.
struct bare_executor {
    template <class F>
    void execute(F&& f) const
    {
        std::forward<F>(f)();
    }
    bool operator==(const bare_executor&) const noexcept = default;
};

TEST_CASE("an empty executor and one without a context are refused by name (row 24)")
{
    const asio::any_io_executor empty;
    const asio::any_io_executor system{asio::system_executor()};
    CHECK(!context_of(empty));
    CHECK(!context_of(system));
    CHECK(!context_of(asio::system_executor()));
    CHECK(!context_of(bare_executor()));

    const auto script = std::make_shared<connect_script>();
    asio::io_context context;
    strict_pool strict(context, scripted_connector(script));
    shelves_pool shelves{scripted_connector(script)};
    const context_bound<asio::steady_timer> timer(context, context);
    for (const auto& nobody : {empty, system}) {
        CHECK(failure([&] { strict_pool(nobody, scripted_connector(script)); }) ==
              errc::no_context);
        CHECK(failure([&] { context_bound<int>(nobody, 1); }) == errc::no_context);
        CHECK(failure([&] { loopsafe::context_local<int>::in(nobody); }) == errc::no_context);
        CHECK(failure([&] { loopsafe::name_context(nobody, "nobody"); }) == errc::no_context);
        CHECK(failure([&] { loopsafe::spawn(nobody, borrow(shelves)); }) == errc::no_context);
        CHECK(answer_to_nobody([&](auto handler) { strict.async_acquire(nobody, handler); }) ==
              errc::no_context);
        CHECK(answer_to_nobody([&](auto handler) { shelves.async_acquire(nobody, handler); }) ==
              errc::no_context);
        CHECK(!strict.try_acquire(nobody));
        CHECK(!shelves.try_acquire(nobody));
        CHECK(failure([&] { timer.get(nobody); }) == errc::no_context);
    }
    CHECK(script->attempts == 0);
    run_on(context, borrow(strict));
    CHECK(strict.stats().acquired == 1);
}

} // namespace

} // namespace refusals_tests
