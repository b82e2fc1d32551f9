// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/context.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <type_traits>

namespace context_tests {

namespace {

using namespace support;
using loopsafe::context_id;
using loopsafe::context_of;
using loopsafe::context_ref;
using loopsafe::errc;
using loopsafe::name_context;

struct executor_without_a_context {
    template <class F>
    void execute(F f) const
    {
        f();
    }
    bool operator==(const executor_without_a_context&) const noexcept = default;
};

TEST_CASE("a context, its executors and its objects name the same context")
{
    asio::io_context context;
    const auto ref = context_of(context);
    const asio::any_io_executor erased = context.get_executor();
    asio::steady_timer timer(context);
    CHECK(ref.alive());
    CHECK(context_of(context.get_executor()) == ref);
    CHECK(context_of(erased) == ref);
    CHECK(context_of(asio::make_strand(context)) == ref);
    CHECK(context_of(asio::any_io_executor(asio::make_strand(erased))) == ref);
    CHECK(context_of(timer) == ref);

    asio::thread_pool threads(1);
    CHECK(context_of(threads.get_executor()) == context_of(threads));
    CHECK_FALSE(context_of(threads) == ref);
}

TEST_CASE("system_executor, an empty executor and one without a context name no context")
{
    CHECK_FALSE(context_of(asio::system_executor()));
    CHECK_FALSE(context_of(asio::any_io_executor(asio::system_executor())));
    const asio::any_io_executor system = asio::system_executor();
    CHECK_FALSE(context_of(asio::require(system, asio::execution::blocking.never)));
    CHECK_FALSE(context_of(asio::prefer(system, asio::execution::relationship.continuation)));
    CHECK_FALSE(context_of(asio::any_io_executor()));
    CHECK_FALSE(context_of(executor_without_a_context()));
    CHECK_FALSE(context_of(asio::query(asio::system_executor(), asio::execution::context)));
}

TEST_CASE("no context has the number 0, no info, and is not alive")
{
    asio::io_context context;
    const context_ref none;
    CHECK(none.id() == context_id());
    CHECK(none.id().number() == 0);
    CHECK_FALSE(none.id());
    CHECK_FALSE(none.alive());
    CHECK_FALSE(none.is(context));
    CHECK_FALSE(none.info());
}

TEST_CASE("a context born at the address of a dead one has another id")
{
    loopsafe::testing::mortal_context context;
    const auto* address = &*context;
    const auto first = context_of(*context);
    context.reborn();
    REQUIRE(&*context == address);
    const auto second = context_of(*context);

    CHECK(first.id() != second.id());
    CHECK(first.id() < second.id());
    CHECK_FALSE(first == second);
    CHECK_FALSE(first.alive());
    CHECK_FALSE(first.is(*context));
    CHECK(second.alive());
    CHECK(second.is(*context));
}

TEST_CASE("a reference tells of its context when that is long gone")
{
    context_ref ref;
    std::uint64_t number = 0;
    {
        asio::io_context context;
        ref = name_context(context, "short");
        number = ref.id().number();
        CHECK(ref.info().alive);
    }
    CHECK_FALSE(ref.alive());
    CHECK(ref.info().number == number);
    CHECK(ref.info().name == "short");
    CHECK_FALSE(ref.info().alive);
}

TEST_CASE("the place where a context was first met stays the first")
{
    asio::io_context context;
    const auto line = std::source_location::current().line() + 1;
    const auto ref = context_of(context);
    CHECK(context_of(context) == ref);
    CHECK(ref.info().where.line() == line);
    CHECK(ref.info().origin == loopsafe::context_origin::seen);
}

TEST_CASE("naming a context again replaces the name and the place")
{
    asio::io_context context;
    name_context(context, "first");
    const auto line = std::source_location::current().line() + 1;
    const auto ref = name_context(context.get_executor(), "second");
    CHECK(ref == context_of(context));
    CHECK(ref.info().name == "second");
    CHECK(ref.info().where.line() == line);
    CHECK(ref.info().origin == loopsafe::context_origin::named);
}

TEST_CASE("what has no context cannot be named")
{
    const auto used = next_line();
    const auto refuse = [] { name_context(asio::system_executor(), "nobody"); };
    const auto error = thrown_by<loopsafe::context_error>(refuse);
    CHECK(error.code() == errc::no_context);
    CHECK(text_of(error) == "name_context(\"nobody\"): the caller names no context"
                            "\n  home:  no context"
                            "\n  asked: no context"
                            "\n  used:  naming at " +
                                used + "\n  cure:  name an io_context or a thread_pool");
}

TEST_CASE("this_context is the context that the coroutine runs on, also behind a strand")
{
    loopsafe::testing::two_contexts contexts;
    const auto ask = []() -> asio::awaitable<context_ref> {
        co_return co_await loopsafe::this_context();
    };
    CHECK(run_on(contexts.a, ask()) == context_of(contexts.a));
    CHECK(run_on(contexts.b, ask()) == context_of(contexts.b));

    context_ref from_strand;
    asio::co_spawn(asio::make_strand(contexts.a), ask(),
                   [&](const std::exception_ptr&, context_ref found) { from_strand = found; });
    contexts.a.restart();
    contexts.a.run();
    CHECK(from_strand == context_of(contexts.a));
}

TEST_CASE("a coroutine on the system_executor runs on no context")
{
    const auto ask = []() -> asio::awaitable<context_ref> {
        co_return co_await loopsafe::this_context();
    };
    CHECK_FALSE(
        asio::co_spawn(asio::any_io_executor(asio::system_executor()), ask(), asio::use_future)
            .get());
}

TEST_CASE("an id is a value without an executor or an I/O object in it")
{
    CHECK(std::is_trivially_copyable_v<context_id>);
    CHECK(std::is_nothrow_copy_constructible_v<context_ref>);
    CHECK(std::is_nothrow_destructible_v<context_ref>);
}

} // namespace

} // namespace context_tests
