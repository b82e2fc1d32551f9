// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/context_local.hpp>
#include <loopsafe/scopes.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <utility>

namespace inheriting_executor_tests {

namespace {

namespace asio = boost::asio;
using loopsafe::detail::bare;
using loopsafe::detail::inherited;
using loopsafe::detail::inherited_from;
using loopsafe::detail::inherited_ref;
using loopsafe::detail::inheriting_executor;
using loopsafe::detail::loop_executor;

struct counted final : inherited {
    explicit counted(int& n) noexcept : alive(n) { ++alive; }
    ~counted() override { --alive; }
    int& alive;
};

struct world {
    int alive = 0;
    asio::io_context context{1};
    inherited_ref what{std::unique_ptr<const inherited>(std::make_unique<counted>(alive))};
    asio::any_io_executor executor =
        inheriting_executor<loop_executor>(context.get_executor(), what);
};

TEST_CASE("what Asio makes of an executor still has what is inherited")
{
    namespace execution = asio::execution;
    world w;
    CHECK(inherited_from(w.executor) == w.what);
    const auto never = asio::require(w.executor, execution::blocking.never);
    CHECK(inherited_from(never) == w.what);
    CHECK(inherited_from(asio::prefer(never, execution::outstanding_work.tracked)) == w.what);
    CHECK(inherited_from(asio::prefer(w.executor, execution::outstanding_work.tracked)) == w.what);
    CHECK(inherited_from(asio::prefer(w.executor, execution::relationship.continuation)) == w.what);
    CHECK(inherited_from(asio::make_strand(w.executor)) == w.what);
    CHECK(inherited_from(asio::steady_timer(w.executor).get_executor()) == w.what);
    CHECK(inherited_from(w.context.get_executor()).get() == nullptr);
    CHECK(inherited_from(asio::any_io_executor()).get() == nullptr);
    CHECK(&asio::query(w.executor, execution::context) == &w.context);
    CHECK(inherited_from(bare(w.executor)).get() == nullptr);
    CHECK(bare(w.executor) == asio::any_io_executor(w.context.get_executor()));
}

TEST_CASE("what is inherited lives as long as an executor with it")
{
    int alive = 0;
    asio::io_context context(1);
    asio::any_io_executor executor;
    {
        inherited_ref what{std::unique_ptr<const inherited>(std::make_unique<counted>(alive))};
        executor = inheriting_executor<loop_executor>(context.get_executor(), std::move(what));
        asio::any_io_executor another = executor;
        another = asio::any_io_executor();
    }
    CHECK(alive == 1);
    executor = asio::any_io_executor();
    CHECK(alive == 0);
}

// Keeps the executor that it was made with.
class keeping_connector {
public:
    struct connection_type {
        asio::any_io_executor executor;
    };
    asio::awaitable<connection_type> connect(asio::any_io_executor executor) const
    {
        co_return connection_type{std::move(executor)};
    }
    bool is_clean(const connection_type&) const noexcept { return true; }
    bool probe(connection_type&) const noexcept { return true; }
};

template <class Pool>
void check_that_it_keeps_nothing(Pool& pool, world& w)
{
    asio::co_spawn(
        w.executor,
        [&]() -> asio::awaitable<void> {
            auto lease = co_await pool.acquire();
            CHECK(inherited_from(lease->executor).get() == nullptr);
        },
        [](const std::exception_ptr& error) { CHECK(error == nullptr); });
    w.context.restart();
    w.context.run();
    w.executor = asio::any_io_executor();
    w.what = inherited_ref();
    CHECK(pool.stats().idle == 1);
    CHECK(w.alive == 0);
}

TEST_CASE("a connection does not keep what the coroutine inherited that made it")
{
    {
        world w;
        loopsafe::connection_pool<keeping_connector, loopsafe::per_context_pool> pool{
            keeping_connector()};
        check_that_it_keeps_nothing(pool, w);
    }
    {
        world w;
        loopsafe::connection_pool<keeping_connector> pool(w.executor, keeping_connector());
        check_that_it_keeps_nothing(pool, w);
    }
}

TEST_CASE("what serves the whole context keeps nothing inherited, also of a coroutine in a strand")
{
    world w;
    {
        const asio::any_io_executor strand = asio::make_strand(w.executor);
        const loopsafe::context_bound<int> lives_there(strand, 1);
        asio::co_spawn(
            strand, loopsafe::with_deadline(std::chrono::hours(1), asio::post(asio::use_awaitable)),
            [](const std::exception_ptr& error) { CHECK(error == nullptr); });
        w.context.run();
    }
    w.executor = asio::any_io_executor();
    w.what = inherited_ref();
    CHECK(w.alive == 0);
}

} // namespace

} // namespace inheriting_executor_tests
