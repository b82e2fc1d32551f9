// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/context_bound.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <support/run_until.hpp>
#include <support/spies.hpp>
#include <support/texts.hpp>

namespace context_bound_tests {

namespace {

using namespace support;
using loopsafe::context_bound;
using loopsafe::context_error;
using loopsafe::context_of;
using loopsafe::errc;
using loopsafe::testing::mortal_context;
using loopsafe::testing::two_contexts;

TEST_CASE("a bound value is had from its home, whichever executor of it asks")
{
    asio::io_context context;
    const context_bound<int> value(context, 41);
    CHECK(value.get(context.get_executor()) == 41);
    CHECK(value.get(asio::make_strand(context)) == 41);
    CHECK(value.get(asio::any_io_executor(context.get_executor())) == 41);
    CHECK(value.home() == context_of(context));
    CHECK(value);
}

TEST_CASE("a bound value is made from a context, an executor or a strand")
{
    asio::io_context context;
    CHECK(context_bound<int>(context).home() == context_of(context));
    CHECK(context_bound<int>(context.get_executor()).home() == context_of(context));
    CHECK(context_bound<int>(asio::make_strand(context)).home() == context_of(context));
}

TEST_CASE("a bound value is refused to another living context")
{
    two_contexts contexts;
    const auto made = next_line();
    const context_bound<int> value(contexts.a, 41);
    const auto used = next_line();
    const auto ask = [&] { value.get(contexts.b.get_executor()); };
    const auto error = thrown_by<context_error>(ask);
    CHECK(error.code() == errc::wrong_context);
    CHECK(text_of(error) == "context_bound: used from a context that is not its home"
                            "\n  home:  context #" +
                                number_of(contexts.a) + ", first seen at " + made +
                                ", alive"
                                "\n  asked: context #" +
                                number_of(contexts.b) + ", first seen at " + used +
                                ", alive"
                                "\n  used:  get at " +
                                used +
                                "\n  cure:  make one for each context, or use context_local");
}

TEST_CASE("a bound value is gone with its home")
{
    mortal_context home;
    asio::io_context other;
    const context_bound<int> value(*home, 41);
    const auto number = number_of(*home);
    home.die();
    const auto error = thrown_by<context_error>([&] { value.get(other.get_executor()); });
    CHECK(error.code() == errc::context_closed);
    CHECK(error.report().home.number == std::stoull(number));
    CHECK_FALSE(error.report().home.alive);

    home.reborn();
    CHECK_THROWS_AS(value.get(home->get_executor()), context_error);
}

TEST_CASE("a bound value is refused to whoever names no context")
{
    asio::io_context context;
    const context_bound<int> value(context, 41);
    const auto code_for = [&](const auto& executor) {
        return thrown_by<context_error>([&] { value.get(executor); }).code();
    };
    CHECK(code_for(asio::system_executor()) == errc::no_context);
    CHECK(code_for(asio::any_io_executor()) == errc::no_context);
    CHECK(code_for(asio::any_io_executor(asio::system_executor())) == errc::no_context);
}

TEST_CASE("a bound value cannot be made without a context")
{
    const auto used = next_line();
    const auto make = [] { context_bound<int>(asio::system_executor(), 1); };
    const auto error = thrown_by<context_error>(make);
    CHECK(text_of(error) == "context_bound: the caller names no context"
                            "\n  home:  no context"
                            "\n  asked: no context"
                            "\n  used:  construction at " +
                                used + "\n  cure:  construct it with an io_context");
    CHECK_THROWS_AS(context_bound<int>(asio::any_io_executor(), 1), context_error);
}

TEST_CASE("a value dies with its handle while the home lives")
{
    names dead;
    asio::io_context context;
    {
        const context_bound<tattler> value(context, dead, "value");
        CHECK(dead.empty());
    }
    CHECK(dead == names{"value"});
}

TEST_CASE("a value dies with its home, and its handle may be destroyed afterwards")
{
    names dead;
    mortal_context context;
    {
        const context_bound<tattler> value(*context, dead, "value");
        context.die();
        CHECK(dead == names{"value"});
    }
    CHECK(dead == names{"value"});
}

TEST_CASE("a value outlives the frames of its home")
{
    names dead;
    mortal_context context;
    const context_bound<tattler> value(*context, dead, "value");
    asio::co_spawn(
        *context,
        [](tattler) -> asio::awaitable<void> {
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        }(tattler(dead, "frame")),
        [](const std::exception_ptr&) {});
    run_ready(*context);
    context.die();
    CHECK(dead == names{"frame", "value"});
}

TEST_CASE("a handle that a frame of the dying home owns destroys its value in the frame's order")
{
    names dead;
    mortal_context context;
    asio::co_spawn(
        *context,
        [](asio::io_context& home, names& list) -> asio::awaitable<void> {
            const tattler older(list, "older local");
            const context_bound<tattler> value(home, list, "value");
            const tattler younger(list, "younger local");
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        }(*context, dead),
        [](const std::exception_ptr&) {});
    run_ready(*context);
    context.die();
    CHECK(dead == names{"younger local", "value", "older local"});
}

TEST_CASE("an I/O object may be kept beyond its context")
{
    std::optional<context_bound<asio::steady_timer>> timer;
    {
        asio::io_context context;
        timer.emplace(context, context.get_executor());
        timer->get(context.get_executor()).expires_after(1h);
    }
    timer.reset();
    CHECK_FALSE(timer);
}

TEST_CASE("an empty handle has no home and no value")
{
    asio::io_context context;
    context_bound<int> empty;
    CHECK_FALSE(empty);
    CHECK_FALSE(empty.home());
    CHECK_THROWS_AS(empty.get(context.get_executor()), context_error);
    empty.reset();
    CHECK_FALSE(empty);
}

TEST_CASE("a handle moves its value, and assigning destroys the old one")
{
    names dead;
    asio::io_context context;
    context_bound<tattler> a(context, dead, "a");
    context_bound<tattler> b(std::move(a));
    CHECK_FALSE(a); // NOLINT: a moved-from handle is empty
    CHECK(dead.empty());
    context_bound<tattler> c(context, dead, "c");
    c = std::move(b);
    CHECK(dead == names{"c"});
    CHECK(c);
    auto& alias = c;
    c = std::move(alias);
    CHECK(c);
    a.swap(c);
    CHECK(a);
    CHECK_FALSE(c);
    a.reset();
    CHECK(dead == names{"c", "a"});
}

TEST_CASE("a value whose constructor throws leaves nothing behind")
{
    struct thrower {
        thrower() { throw std::runtime_error("no"); }
    };
    mortal_context context;
    CHECK_THROWS_WITH_AS(context_bound<thrower>{*context}, "no", std::runtime_error);
    context.die();
}

} // namespace

} // namespace context_bound_tests
