// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/pool/lease.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <doctest/doctest.h>

#include <support/scripted.hpp>
#include <type_traits>

namespace lease_tests {

namespace {

using namespace support;
using loopsafe::context_error;
using loopsafe::context_of;
using loopsafe::testing::mortal_context;
using lease_type = scripted<>::lease_type;

TEST_CASE("a lease moves without throwing and cannot be copied")
{
    CHECK(std::is_nothrow_move_constructible_v<lease_type>);
    CHECK(std::is_nothrow_move_assignable_v<lease_type>);
    CHECK(std::is_nothrow_destructible_v<lease_type>);
    CHECK_FALSE(std::is_copy_constructible_v<lease_type>);
    CHECK_FALSE(std::is_copy_assignable_v<lease_type>);
}

TEST_CASE("a lease moved: the connection goes along, and what is left is empty")
{
    scripted f;
    auto a = f.acquire();
    auto b = std::move(a);
    CHECK_FALSE(a); // NOLINT: a moved-from lease is empty
    CHECK(number(b) == 1);
    CHECK(f.pool.stats().leased == 1);
    a.release();
    a.discard();
    CHECK(f.pool.stats().leased == 1);
}

TEST_CASE("a lease assigned to: what it held goes back")
{
    scripted f;
    auto a = f.acquire();
    auto b = f.acquire();
    a = std::move(b);
    CHECK(number(a) == 2);
    CHECK(f.pool.stats().leased == 1);
    CHECK(f.pool.stats().idle == 1);
    auto& alias = a;
    a = std::move(alias);
    CHECK(number(a) == 2);
    a = lease_type();
    CHECK(f.pool.stats().idle == 2);
}

TEST_CASE("leases swapped: each holds what the other held")
{
    scripted f;
    auto a = f.acquire();
    auto b = f.acquire();
    a.swap(b);
    CHECK(number(a) == 2);
    CHECK(number(b) == 1);
    lease_type none;
    a.swap(none);
    CHECK_FALSE(a);
    CHECK(number(none) == 2);
}

TEST_CASE("a lease released or discarded is empty, and may be so again")
{
    scripted f;
    auto lease = f.acquire();
    lease.release();
    CHECK_FALSE(lease);
    CHECK_FALSE(lease.home());
    lease.release();
    lease.discard();
    CHECK(f.pool.stats().idle == 1);
    CHECK(f.pool.stats().closed() == 0);
}

TEST_CASE("a lease knows the context that acquired it")
{
    scripted f;
    const auto lease = f.acquire();
    CHECK(lease.home() == context_of(f.context));
    CHECK_FALSE(lease_type().home());
}

TEST_CASE("an empty lease says so")
{
    const lease_type empty;
    CHECK_FALSE(empty);
    const auto error = thrown_by<context_error>([&] { *empty; });
    CHECK(error.code() == errc::lease_expired);
    CHECK(text_of(error) ==
          std::string("empty lease: the lease is empty or its context is gone"
                      "\n  home:  no context"
                      "\n  used:  dereference"
                      "\n  cure:  acquire a lease in each context, and let it end there"));
    CHECK_THROWS_AS(empty->number(), context_error);
}

TEST_CASE("a lease whose context is gone says lease_expired, and which context that was")
{
    mortal_context context;
    const auto script = std::make_shared<connect_script>();
    const auto made = next_line();
    loopsafe::connection_pool pool(*context, scripted_connector(script), {.name = "db"});
    const auto acquired = next_line();
    auto lease = run_on(*context, pool.acquire());
    const auto number_then = number_of(*context);
    context.reborn();
    CHECK_FALSE(lease);
    CHECK(lease.home());
    const auto error = thrown_by<context_error>([&] { lease->number(); });
    CHECK(text_of(error) ==
          "lease of connection pool \"db\": the lease is empty or its context is gone"
          "\n  home:  context #" +
              number_then + ", first seen at " + made +
              ", gone"
              "\n  used:  dereference of the lease acquired at " +
              acquired + "\n  cure:  acquire a lease in each context, and let it end there");
    CHECK(script->open() == 0);
    lease.release();
    CHECK_THROWS_AS(*lease, context_error);
}

TEST_CASE("a lease that a frame of the dying context holds is usable until the frame is gone")
{
    struct guard {
        lease_type& lease;
        bool& usable;
        int& seen;
        ~guard()
        {
            usable = static_cast<bool>(lease);
            seen = lease->number();
        }
    };
    mortal_context context;
    const auto script = std::make_shared<connect_script>();
    auto pool = make_pool<scripted_connector, keep_alive>(*context, scripted_connector(script), {});
    bool usable = false;
    int seen = 0;
    asio::co_spawn(
        *context,
        [&]() -> asio::awaitable<void> {
            auto lease = co_await pool.acquire();
            const guard g{lease, usable, seen};
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        },
        [](const std::exception_ptr&) {});
    run_until(*context, [&] { return pool.stats().leased == 1; });
    context.die();
    CHECK(usable);
    CHECK(seen == 1);
    CHECK(script->open() == 0);
    CHECK(pool.stats().closed(close_reason::context_died) == 1);
}

TEST_CASE("a lease may outlive its pool")
{
    scripted f;
    lease_type lease;
    {
        auto pool = std::move(f.pool);
        lease = run_on(f.context, pool.acquire());
    }
    CHECK(number(lease) == 1);
    lease.release();
    CHECK(f.script->open() == 0);
}

} // namespace

} // namespace lease_tests
