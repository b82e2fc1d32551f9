// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <future>
#include <memory_resource>
#include <optional>
#include <support/scripted.hpp>

namespace connection_pool_tokens_tests {

namespace {

using namespace support;
using loopsafe::context_error;
using loopsafe::context_of;
using loopsafe::error_code;
using keep_lease = scripted_pool<keep_alive>::lease_type;

// A callback that remembers what it was told.
template <class Lease = keep_lease>
struct answer {
    struct told {
        error_code ec;
        Lease lease;
        bool done = false;
    };
    std::shared_ptr<told> is = std::make_shared<told>();

    auto callback() const
    {
        return [state = is](error_code ec, Lease lease) {
            state->ec = ec;
            state->lease = std::move(lease);
            state->done = true;
        };
    }
    void wait_on(asio::io_context& context) const
    {
        run_until(context, [this] { return is->done; });
    }
};

class counting_resource : public std::pmr::memory_resource {
public:
    int allocated = 0;
    int live = 0;

private:
    void* do_allocate(std::size_t bytes, std::size_t alignment) override
    {
        ++allocated;
        ++live;
        return std::pmr::new_delete_resource()->allocate(bytes, alignment);
    }
    void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override
    {
        --live;
        std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
    }
    bool do_is_equal(const memory_resource& other) const noexcept override
    {
        return this == &other;
    }
};

// Each test runs it twice: the first connects, the second takes the warm path.
TEST_CASE("completion tokens: use_awaitable gives the lease")
{
    scripted f;
    const auto body = [&]() -> asio::awaitable<int> {
        const auto lease = co_await f.pool.async_acquire(asio::use_awaitable);
        co_return number(lease);
    };
    CHECK(run_on(f.context, body()) == 1);
    CHECK(run_on(f.context, body()) == 1);
    CHECK(f.pool.stats().reused == 1);
}

TEST_CASE("completion tokens: the default token is awaited, and throws")
{
    scripted f({.max_size = 1});
    const auto body = [&]() -> asio::awaitable<int> {
        const auto lease = co_await f.pool.async_acquire();
        co_return number(lease);
    };
    CHECK(run_on(f.context, body()) == 1);
    CHECK(run_on(f.context, body()) == 1);
    f.pool.close();
    const auto error = thrown_by<boost::system::system_error>([&] { run_on(f.context, body()); });
    CHECK(error.code() == errc::pool_closed);
}

TEST_CASE("completion tokens: as_tuple gives the error beside an empty lease")
{
    scripted f({.max_size = 1});
    const auto body = [&]() -> asio::awaitable<error_code> {
        auto [ec, lease] = co_await f.pool.async_acquire(asio::as_tuple(asio::use_awaitable));
        CHECK(static_cast<bool>(lease) == !ec);
        co_return ec;
    };
    CHECK(run_on(f.context, body()) == error_code());
    CHECK(run_on(f.context, body()) == error_code());
    f.script->plan({outcome::fail});
    f.pool.invalidate();
    CHECK(run_on(f.context, body()) == asio::error::connection_refused);
}

TEST_CASE("completion tokens: deferred starts when it is called")
{
    scripted f;
    auto later = f.pool.async_acquire(asio::deferred);
    run_ready(f.context);
    CHECK(f.script->attempts == 0);
    const answer told;
    std::move(later)(asio::bind_executor(f.context, told.callback()));
    told.wait_on(f.context);
    CHECK(number(told.is->lease) == 1);
}

TEST_CASE("completion tokens: use_future asks as the home")
{
    scripted f;
    for (int i = 0; i != 2; ++i) {
        auto future = f.pool.async_acquire(asio::use_future);
        f.context.restart();
        f.context.run();
        auto lease = future.get();
        CHECK(number(lease) == 1);
        CHECK(lease.home() == context_of(f.context));
    }
    f.pool.close();
    auto future = f.pool.async_acquire(asio::use_future);
    f.context.restart();
    f.context.run();
    CHECK(thrown_by<boost::system::system_error>([&] { future.get(); }).code() ==
          errc::pool_closed);
}

TEST_CASE("completion tokens: a plain callback asks as the home, and is called there")
{
    scripted f;
    for (int i = 0; i != 2; ++i) {
        const answer told;
        bool at_home = false;
        f.pool.async_acquire([&, tell = told.callback()](error_code ec, keep_lease lease) {
            at_home = f.context.get_executor().running_in_this_thread();
            tell(ec, std::move(lease));
        });
        CHECK_FALSE(told.is->done);
        told.wait_on(f.context);
        CHECK(at_home);
        CHECK(number(told.is->lease) == 1);
        told.is->lease.release();
    }
}

TEST_CASE("completion tokens: a callback bound to another context is refused, there")
{
    scripted f;
    asio::io_context other;
    const answer told;
    f.pool.async_acquire(asio::bind_executor(other, told.callback()));
    CHECK_FALSE(told.is->done);
    told.wait_on(other);
    CHECK(told.is->ec == errc::wrong_context);
    CHECK_FALSE(told.is->lease);
    CHECK(f.script->attempts == 0);
}

TEST_CASE("completion tokens: a callback bound to a strand of the home is called on the strand")
{
    scripted f;
    const auto strand = asio::make_strand(f.context);
    for (int i = 0; i != 2; ++i) {
        const answer told;
        bool on_strand = false;
        f.pool.async_acquire(
            asio::bind_executor(strand, [&, tell = told.callback()](error_code ec, keep_lease l) {
                on_strand = strand.running_in_this_thread();
                tell(ec, std::move(l));
            }));
        told.wait_on(f.context);
        CHECK(on_strand);
        told.is->lease.release();
    }
}

TEST_CASE("completion tokens: bind_cancellation_slot, each type ends waiting and connecting")
{
    auto type = asio::cancellation_type::none;
    SUBCASE("terminal")
    {
        type = asio::cancellation_type::terminal;
    }
    SUBCASE("partial")
    {
        type = asio::cancellation_type::partial;
    }
    SUBCASE("total")
    {
        type = asio::cancellation_type::total;
    }
    scripted f({.max_size = 1});
    f.script->plan({outcome::never});
    asio::cancellation_signal stop_connecting;
    asio::cancellation_signal stop_waiting;
    const answer connecting;
    const answer waiting;
    f.pool.async_acquire(
        asio::bind_cancellation_slot(stop_connecting.slot(), connecting.callback()));
    run_until(f.context, [&] { return f.script->attempts == 1; });
    f.pool.async_acquire(asio::bind_cancellation_slot(stop_waiting.slot(), waiting.callback()));
    run_until(f.context, [&] { return f.pool.stats().waiting == 1; });

    stop_waiting.emit(type);
    waiting.wait_on(f.context);
    CHECK(waiting.is->ec == asio::error::operation_aborted);
    stop_connecting.emit(type);
    connecting.wait_on(f.context);
    CHECK(connecting.is->ec == asio::error::operation_aborted);
    CHECK(number(f.acquire()) == 1);
}

TEST_CASE("completion tokens: async_acquire with an executor asks for that executor's context")
{
    scripted<per_context> f;
    asio::io_context other;
    for (int i = 0; i != 2; ++i) {
        const answer<scripted_pool<per_context>::lease_type> told;
        f.pool.async_acquire(other.get_executor(), told.callback());
        told.wait_on(other);
        CHECK(told.is->lease.home() == context_of(other));
        CHECK(number(told.is->lease) == 1);
        told.is->lease.release();

        auto future = f.pool.async_acquire(other.get_executor(), asio::use_future);
        other.restart();
        other.run();
        CHECK(future.get().home() == context_of(other));
    }
}

TEST_CASE("the associated executor is used, also where another context was asked for")
{
    scripted f;
    asio::io_context other;
    for (int i = 0; i != 2; ++i) {
        const answer told;
        bool on_other = false;
        f.pool.async_acquire(
            f.context.get_executor(),
            asio::bind_executor(other, [&, tell = told.callback()](error_code ec, keep_lease l) {
                on_other = other.get_executor().running_in_this_thread();
                tell(ec, std::move(l));
            }));
        f.context.restart();
        f.context.run();
        CHECK_FALSE(told.is->done);
        told.wait_on(other);
        CHECK(on_other);
        CHECK(told.is->lease.home() == context_of(f.context));
        told.is->lease.release();
    }
}

TEST_CASE("the associated allocator is used for what is queued for the handler")
{
    scripted f;
    asio::io_context other;
    for (int i = 0; i != 2; ++i) {
        counting_resource memory;
        const answer told;
        f.pool.async_acquire(f.context.get_executor(),
                             asio::bind_allocator(std::pmr::polymorphic_allocator<>(&memory),
                                                  asio::bind_executor(other, told.callback())));
        f.context.restart();
        f.context.run();
        told.wait_on(other);
        CHECK(number(told.is->lease) == 1);
        CHECK(memory.allocated > 0);
        CHECK(memory.live == 0);
        told.is->lease.release();
    }
}

TEST_CASE("an empty executor counts as no executor: a pool with a home uses its home")
{
    scripted f;
    for (int i = 0; i != 2; ++i) {
        const answer told;
        f.pool.async_acquire(asio::bind_executor(asio::any_io_executor(), told.callback()));
        told.wait_on(f.context);
        CHECK(told.is->ec == error_code());
        CHECK(number(told.is->lease) == 1);
        told.is->lease.release();
    }
}

TEST_CASE("a system_executor counts as no executor: a pool with a home uses its home")
{
    scripted f;
    for (int i = 0; i != 2; ++i) {
        std::promise<error_code> promise;
        f.pool.async_acquire(asio::bind_executor(asio::any_io_executor(asio::system_executor()),
                                                 [&](error_code ec, keep_lease lease) {
                                                     CHECK(lease.home() == context_of(f.context));
                                                     lease.release();
                                                     promise.set_value(ec);
                                                 }));
        f.context.restart();
        f.context.run();
        CHECK(promise.get_future().get() == error_code());
    }
}

TEST_CASE_TEMPLATE("a pool without a home tells an unnamed caller no_context", Policy, per_context,
                   null)
{
    scripted<Policy> f;
    using lease_type = typename decltype(f)::lease_type;
    asio::any_io_executor unnamed;
    SUBCASE("a type-erased system_executor")
    {
        unnamed = asio::system_executor();
    }
    SUBCASE("an empty executor") {}
    std::promise<error_code> promise;
    std::exception_ptr report;
    f.pool.async_acquire(asio::bind_executor(unnamed,
                                             [&](error_code ec, lease_type lease) {
                                                 CHECK_FALSE(lease);
                                                 promise.set_value(ec);
                                             }),
                         {.error = &report});
    CHECK(promise.get_future().get() == errc::no_context);
    CHECK(text_of<context_error>(report).starts_with(
        "connection pool: the caller names no context\n  home:  no context\n  asked: no context"));
    CHECK(f.pool.stats().refused == 1);
    CHECK(f.script->attempts == 0);
}

TEST_CASE("a pool whose home is gone tells an unnamed caller context_closed")
{
    std::optional<asio::io_context> home(1);
    const auto script = std::make_shared<connect_script>();
    loopsafe::connection_pool pool(*home, scripted_connector(script));
    home.reset();
    std::promise<error_code> told;
    auto answer = told.get_future();
    pool.async_acquire([t = std::move(told)](error_code ec, auto) mutable { t.set_value(ec); });
    CHECK(answer.get() == errc::context_closed);
}

TEST_CASE("acquire_options::error is the place for the whole report")
{
    scripted f({.max_size = 1});
    std::exception_ptr report;
    const auto ask = [&](loopsafe::acquire_options what) {
        const answer told;
        f.pool.async_acquire(told.callback(), what);
        told.wait_on(f.context);
        return std::move(told.is->lease);
    };
    auto lease = ask({.error = &report});
    CHECK(report == nullptr);

    const answer late;
    const auto used = next_line();
    f.pool.async_acquire(late.callback(), {.timeout = 0ms, .error = &report});
    late.wait_on(f.context);
    CHECK(late.is->ec == errc::acquire_timeout);
    CHECK(text_of<loopsafe::pool_error>(report).starts_with(
        "connection pool: no connection became free in time\n  used:  acquire at " + used));

    lease.release();
    lease = ask({.error = &report});
    CHECK(lease);
    CHECK(report == nullptr);
    lease.discard();

    f.script->plan({outcome::fail});
    CHECK_FALSE(ask({.error = &report}));
    CHECK(text_of<boost::system::system_error>(report) ==
          "scripted: Connection refused [system:111]");

    asio::io_context other;
    const answer wrong;
    const auto refused = next_line();
    f.pool.async_acquire(other.get_executor(), wrong.callback(), {.error = &report});
    wrong.wait_on(other);
    CHECK(thrown_by<context_error>([&] { std::rethrow_exception(report); }).report().operation ==
          "async_acquire");
    CHECK(text_of<context_error>(report).find("used:  async_acquire at " + refused) !=
          std::string::npos);
}

TEST_CASE("what is no system_error arrives as connection_aborted, and memory that ran out as such")
{
    struct thrower : scripted_connector {
        thrower(const std::shared_ptr<connect_script>& script, bool no_memory)
            : scripted_connector(script), no_memory_(no_memory)
        {
        }
        asio::awaitable<connection_type> connect(asio::any_io_executor) const
        {
            if (no_memory_)
                throw std::bad_alloc();
            throw 7;
            co_return connection_type(nullptr, {});
        }
        bool no_memory_;
    };
    using lease_type = loopsafe::lease<thrower, keep_alive>;
    asio::io_context context;
    const auto code_for = [&](bool no_memory) {
        auto pool = make_pool<thrower, keep_alive>(
            context, thrower(std::make_shared<connect_script>(), no_memory), {});
        const answer<lease_type> told;
        pool.async_acquire(told.callback());
        told.wait_on(context);
        return told.is->ec;
    };
    CHECK(code_for(false) == asio::error::connection_aborted);
    CHECK(code_for(true) == boost::system::errc::not_enough_memory);
}

TEST_CASE("a handler is never called from within async_acquire")
{
    scripted f;
    f.acquire().release();
    bool inside = false;
    bool called_inside = false;
    bool done = false;
    asio::post(f.context, [&] {
        inside = true;
        f.pool.async_acquire([&](error_code, keep_lease) {
            called_inside = inside;
            done = true;
        });
        inside = false;
    });
    run_until(f.context, [&] { return done; });
    CHECK_FALSE(called_inside);
}

TEST_CASE("a handler that is never called, since its context dies, gives back what it was promised")
{
    const auto script = std::make_shared<connect_script>();
    std::optional<asio::io_context> home(1);
    auto pool = make_pool<scripted_connector, keep_alive>(*home, scripted_connector(script),
                                                          {.max_size = 1});
    run_on(*home, pool.acquire()).release();
    pool.async_acquire([](error_code, keep_lease) { FAIL("called"); });
    CHECK(pool.stats().leased == 1);
    home.reset();
    CHECK(pool.stats().leased == 0);
    CHECK(script->open() == 0);
}

} // namespace

} // namespace connection_pool_tokens_tests
