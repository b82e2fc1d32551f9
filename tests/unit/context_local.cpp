// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/context_local.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>

#include <doctest/doctest.h>

#include <support/run_until.hpp>
#include <support/spies.hpp>
#include <support/texts.hpp>

namespace context_local_tests {

namespace {

using namespace support;
using loopsafe::context_local;
using loopsafe::testing::mortal_context;
using loopsafe::testing::two_contexts;

TEST_CASE("each context has one T, the same at each call and for each of its executors")
{
    two_contexts contexts;
    auto& in_a = context_local<int>::in(contexts.a.get_executor());
    CHECK(in_a == 0);
    in_a = 7;
    CHECK(&context_local<int>::in(contexts.a.get_executor()) == &in_a);
    CHECK(&context_local<int>::in(asio::make_strand(contexts.a)) == &in_a);
    CHECK(context_local<int>::in(contexts.b.get_executor()) == 0);
}

TEST_CASE("a T is made from the executor where it can be")
{
    asio::io_context context;
    auto& timer = context_local<asio::steady_timer>::in(context.get_executor());
    CHECK(timer.get_executor() == context.get_executor());
}

TEST_CASE("a T outlives the frames of its context and nothing else")
{
    static names dead;
    dead.clear();
    struct local : tattler {
        local() : tattler(dead, "local") {}
    };
    mortal_context context;
    asio::co_spawn(
        *context,
        [](tattler) -> asio::awaitable<void> {
            const auto executor = co_await asio::this_coro::executor;
            context_local<local>::in(executor);
            asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        }(tattler(dead, "frame")),
        [](const std::exception_ptr&) {});
    run_ready(*context);
    context.die();
    CHECK(dead == names{"frame", "local"});
}

TEST_CASE("a context at the address of a dead one has a T of its own")
{
    struct counter {
        int value = 0;
    };
    mortal_context context;
    context_local<counter>::in(context->get_executor()).value = 7;
    context.reborn();
    CHECK(context_local<counter>::in(context->get_executor()).value == 0);
}

TEST_CASE("whoever names no context has no T")
{
    const auto used = next_line();
    const auto ask = [] { context_local<int>::in(asio::system_executor()); };
    const auto error = thrown_by<loopsafe::context_error>(ask);
    CHECK(error.code() == loopsafe::errc::no_context);
    CHECK(text_of(error) == "context_local: the caller names no context"
                            "\n  home:  no context"
                            "\n  asked: no context"
                            "\n  used:  in at " +
                                used + "\n  cure:  pass the executor of an io_context");
    CHECK_THROWS_AS(context_local<int>::in(asio::any_io_executor()), loopsafe::context_error);
}

TEST_CASE("a T whose constructor throws is tried again at the next call")
{
    static bool fails = true;
    struct moody {
        moody()
        {
            if (std::exchange(fails, false))
                throw std::runtime_error("not today");
        }
    };
    fails = true;
    asio::io_context context;
    CHECK_THROWS_WITH_AS(context_local<moody>::in(context.get_executor()), "not today",
                         std::runtime_error);
    context_local<moody>::in(context.get_executor());
    CHECK_FALSE(fails);
}

} // namespace

} // namespace context_local_tests
