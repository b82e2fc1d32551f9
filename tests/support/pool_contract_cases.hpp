// SPDX-License-Identifier: BSL-1.0
// Included once in a program, after `LOOPSAFE_TESTS_POOLS` was defined: a list of
// `support::contract`s.
#ifndef LOOPSAFE_TESTS_SUPPORT_POOL_CONTRACT_CASES_HPP
#define LOOPSAFE_TESTS_SUPPORT_POOL_CONTRACT_CASES_HPP

#include <support/pool_contract.hpp>

namespace {

using namespace support;
using loopsafe::context_error;
using loopsafe::context_of;

TEST_CASE_TEMPLATE("contract: a lease gives a connection that can be used", T, LOOPSAFE_TESTS_POOLS)
{
    T f;
    auto lease = f.acquire();
    CHECK(lease);
    f.use(lease);
    CHECK(lease.home() == (T::offloads ? loopsafe::context_ref() : context_of(*f.context)));
    CHECK(f.pool->stats().leased == 1);
    CHECK(f.pool->stats().connects == 1);
    lease.release();
    CHECK_FALSE(lease);
    CHECK(f.pool->stats().leased == 0);
}

TEST_CASE_TEMPLATE("contract: what comes back clean is kept if the policy keeps", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f;
    f.acquire().release();
    f.acquire().release();
    const auto stats = f.pool->stats();
    if (T::policy_type::keeps_idle) {
        CHECK(stats.connects == 1);
        CHECK(stats.reused == 1);
        CHECK(stats.idle == 1);
        CHECK(stats.closed() == 0);
    } else {
        CHECK(stats.connects == 2);
        CHECK(stats.reused == 0);
        CHECK(stats.idle == 0);
        CHECK(stats.closed(close_reason::not_kept) == 2);
        f.world.require_closed(2);
    }
}

TEST_CASE_TEMPLATE("contract: what is discarded is closed", T, LOOPSAFE_TESTS_POOLS)
{
    T f;
    f.acquire().discard();
    f.world.require_closed(1);
    CHECK(f.pool->stats().idle == 0);
    CHECK(f.pool->stats().closed(close_reason::discarded) == 1);
}

TEST_CASE_TEMPLATE("contract: no more than max_size are out, and callers are served in order", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f({.max_size = 2});
    auto a = f.acquire();
    auto b = f.acquire();
    auto first = f.start_waiting();
    auto second = f.start_waiting();
    a.release();
    CHECK(first.lease());
    CHECK_FALSE(second.done());
    b.discard();
    CHECK(second.lease());
    CHECK(f.pool->stats().leased == 2);
    CHECK(f.pool->stats().waiting == 0);
}

TEST_CASE_TEMPLATE("contract: the queue is bounded, and waiting has a deadline", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f({.max_size = 1, .max_waiting = 1, .acquire_timeout = 3s});
    auto lease = f.acquire();
    auto waiting = f.start_waiting();
    CHECK(f.start().code() == errc::queue_full);
    manual_clock::advance(*f.context, 3s);
    CHECK(waiting.code() == errc::acquire_timeout);
    lease.release();
    CHECK(f.acquire());
}

TEST_CASE_TEMPLATE("contract: a failed connect reaches its caller and costs no slot", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f({.max_size = 1});
    f.world.refuse_once();
    CHECK(f.start().code() == asio::error::connection_refused);
    f.world.refused_once();
    CHECK(f.acquire());
    CHECK(f.pool->stats().connect_failures == 1);
    CHECK(f.pool->stats().connects == 1);
}

TEST_CASE_TEMPLATE("contract: a cancelled caller takes nothing along, waiting or served", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f({.max_size = 1});
    auto lease = f.acquire();
    auto waiting = f.start_waiting();
    auto served = f.start_waiting();
    auto last = f.start_waiting();
    waiting.cancel();
    CHECK(waiting.code() == asio::error::operation_aborted);
    do_on(*f.context, [&] {
        lease.release();
        served.cancel();
    });
    CHECK(served.code() == asio::error::operation_aborted);
    CHECK(last.lease());
    CHECK(f.pool->stats().leased == 1);
}

TEST_CASE_TEMPLATE("contract: a closed pool refuses callers, and leases live on", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f({.max_size = 1});
    auto lease = f.acquire();
    auto waiting = f.start_waiting();
    f.pool->close();
    CHECK(waiting.code() == errc::pool_closed);
    CHECK(f.start().code() == errc::pool_closed);
    f.use(lease);
    lease.release();
    f.world.require_closed(1);
    CHECK(f.pool->stats().closed(close_reason::pool_closed) == 1);
}

TEST_CASE_TEMPLATE("contract: another living context is served or refused, as the policy says", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f;
    f.acquire().release();
    asio::io_context other;
    attempt there(other, f.pool->acquire());
    if (T::has_home) {
        CHECK(there.code() == errc::wrong_context);
        CHECK(f.pool->stats().refused == 1);
        CHECK(f.pool->stats().connects == 1);
    } else if (T::offloads) {
        CHECK(there.lease());
        CHECK(f.pool->stats().connects == (T::policy_type::keeps_idle ? 1 : 2));
    } else {
        CHECK(there.lease().home() == context_of(other));
        CHECK(f.pool->stats().connects == 2);
    }
    CHECK(f.acquire());
}

TEST_CASE_TEMPLATE("contract: a context that died takes its own connections along, leased or idle",
                   T, LOOPSAFE_TESTS_POOLS)
{
    T f;
    auto lease = f.acquire();
    f.acquire().release();
    f.context.die();
    if constexpr (T::offloads) {
        CHECK(lease);
        CHECK(f.pool->stats().leased == 1);
        CHECK(f.pool->stats().idle == (T::policy_type::keeps_idle ? 1 : 0));
        f.context.reborn();
        f.use(lease);
    } else {
        f.world.require_closed(T::carries ? 1 : 2);
        CHECK(f.pool->stats().parked == (T::carries ? 1 : 0));
        CHECK_FALSE(lease);
        CHECK(thrown_by<context_error>([&] { *lease; }).code() == errc::lease_expired);
        CHECK(f.pool->stats().idle == 0);
        CHECK(f.pool->stats().leased == 0);
    }
    lease.release();
}

TEST_CASE_TEMPLATE("contract: the successor of a dead context is served or refused, and given its "
                   "connection only as the policy says",
                   T, LOOPSAFE_TESTS_POOLS)
{
    T f;
    f.acquire().release();
    f.context.reborn();
    if (T::has_home) {
        CHECK(f.start().code() == errc::context_closed);
    } else {
        auto lease = f.acquire();
        f.use(lease);
        const bool outlives = T::carries || (T::offloads && T::policy_type::keeps_idle);
        CHECK(f.pool->stats().connects == (outlives ? 1 : 2));
        CHECK(f.pool->stats().reused == (outlives ? 1 : 0));
    }
}

TEST_CASE_TEMPLATE("contract: pool, lease and context may be destroyed in any order", T,
                   LOOPSAFE_TESTS_POOLS)
{
    std::optional<T> f(std::in_place);
    std::optional lease(f->acquire());
    f->acquire().release();
    const auto end_pool = [&] { f->pool.reset(); };
    const auto end_lease = [&] { lease.reset(); };
    const auto end_context = [&] { f->context.die(); };
    SUBCASE("pool, lease, context")
    {
        end_pool(), end_lease(), end_context();
    }
    SUBCASE("pool, context, lease")
    {
        end_pool(), end_context(), end_lease();
    }
    SUBCASE("lease, pool, context")
    {
        end_lease(), end_pool(), end_context();
    }
    SUBCASE("lease, context, pool")
    {
        end_lease(), end_context(), end_pool();
    }
    SUBCASE("context, pool, lease")
    {
        end_context(), end_pool(), end_lease();
    }
    SUBCASE("context, lease, pool")
    {
        end_context(), end_lease(), end_pool();
    }
    f->world.require_closed(2);
}

TEST_CASE_TEMPLATE("contract: a callback with an executor is told as a coroutine is", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f;
    using lease_type = typename T::lease_type;
    for (int i = 0; i != 2; ++i) {
        lease_type got;
        f.pool->async_acquire(f.context->get_executor(),
                              [&](loopsafe::error_code ec, lease_type lease) {
                                  CHECK_FALSE(ec);
                                  got = std::move(lease);
                              });
        run_until(*f.context, [&] { return static_cast<bool>(got); });
        f.use(got);
    }
}

TEST_CASE_TEMPLATE(
    "contract: an operation that begins when its pool is gone says that it is closed", T,
    LOOPSAFE_TESTS_POOLS)
{
    using lease_type = typename T::lease_type;
    for (const bool leased : {false, true}) {
        CAPTURE(leased);
        T f;
        lease_type out;
        if (leased)
            out = f.acquire(); // which keeps the rest of the pool in memory
        const auto executor = f.context->get_executor();
        auto acquiring = f.start();
        auto acquiring_soon = f.start({.timeout = 1s});
        // Boost 1.81 with Clang 16 cannot begin one that is not copyable.
        const auto begin_later = [&]() {
            if constexpr (T::offloads)
                return 0;
            else
                return std::make_pair(f.pool->async_acquire(executor, asio::deferred),
                                      f.pool->async_close(loopsafe::never, asio::deferred));
        };
        auto later = begin_later();
        f.pool.reset();
        CHECK(acquiring.code() == errc::pool_closed);
        CHECK(acquiring.text().find("the pool is closed\n  used:  acquire at ") !=
              std::string::npos);
        CHECK(acquiring_soon.code() == errc::pool_closed);
        if constexpr (!T::offloads) {
            loopsafe::error_code refused;
            std::move(later.first)([&](loopsafe::error_code ec, const lease_type& lease) {
                CHECK_FALSE(lease);
                refused = ec;
            });
            run_until(*f.context, [&] { return refused.failed(); });
            CHECK(refused == errc::pool_closed);
            out = {};
            bool closed = false;
            std::move(later.second)(asio::bind_executor(executor, [&](loopsafe::error_code ec) {
                CHECK_FALSE(ec);
                closed = true;
            }));
            run_until(*f.context, [&] { return closed; });
        }
    }
}

TEST_CASE_TEMPLATE("contract: an operation that begins when its pool has moved goes on there", T,
                   LOOPSAFE_TESTS_POOLS)
{
    T f;
    auto acquiring = f.start();
    typename T::pool_type moved(std::move(*f.pool));
    f.pool.reset();
    CHECK(acquiring.lease());
    CHECK(moved.stats().leased == 1);
}

TEST_CASE_TEMPLATE("contract: a pool that was moved from is a closed one", T, LOOPSAFE_TESTS_POOLS)
{
    T f;
    const auto executor = f.context->get_executor();
    const typename T::pool_type moved(std::move(*f.pool));
    CHECK(f.start().code() == errc::pool_closed);
    CHECK(f.start({.timeout = 1s}).code() == errc::pool_closed);
    bool closed = false;
    f.pool->async_close(loopsafe::never,
                        asio::bind_executor(executor, [&](loopsafe::error_code ec) {
                            CHECK_FALSE(ec);
                            closed = true;
                        }));
    run_until(*f.context, [&] { return closed; });
    f.pool->invalidate();
    f.pool->thaw();
    f.pool->close();
    f.pool->on_event({});
    CHECK(f.pool->stats().connects == 0);
    CHECK(f.pool->holders().empty());
    CHECK_FALSE(f.pool->home().alive());
}

} // namespace

#endif
