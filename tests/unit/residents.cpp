// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/context/pin.hpp>
#include <loopsafe/context/residents.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/strand.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <support/run_until.hpp>
#include <support/spies.hpp>

namespace residents_tests {

namespace {

using namespace support;
using loopsafe::context_of;
using loopsafe::context_pin;
using loopsafe::residents;
using loopsafe::testing::mortal_context;

struct diary final : loopsafe::resident {
    explicit diary(names& list) : told(list) {}

    void context_dying() noexcept override
    {
        told.push_back("dying");
        if (when_dying)
            when_dying();
    }
    void frames_gone() noexcept override
    {
        told.push_back("frames gone");
        if (when_gone)
            when_gone();
    }

    names& told;
    std::function<void()> when_dying;
    std::function<void()> when_gone;
};

// A coroutine that never ends by itself, and whose frame tells when it is destroyed.
void suspend_on(asio::io_context& context, names& list, std::string name)
{
    asio::co_spawn(
        context,
        [](tattler) -> asio::awaitable<void> {
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        }(tattler(list, std::move(name))),
        [](const std::exception_ptr&) {});
    run_ready(context);
}

TEST_CASE("a resident is told before the frames of its context die, and again when they are gone")
{
    names told;
    diary r(told);
    mortal_context context;
    suspend_on(*context, told, "older frame");
    residents::of(context->get_executor()).attach(r);
    suspend_on(*context, told, "younger frame");

    context.die();
    REQUIRE(told.size() == 4);
    CHECK(told.front() == "dying");
    CHECK(told.back() == "frames gone");
}

TEST_CASE("residents are told in the order in which they attached")
{
    names order;
    names ignored;
    diary first(ignored);
    diary second(ignored);
    mortal_context context;
    for (auto* r : {&first, &second}) {
        const std::string name = r == &first ? "first" : "second";
        r->when_dying = [&order, name] { order.push_back(name + " dying"); };
        r->when_gone = [&order, name] { order.push_back(name + " gone"); };
        residents::of(context->get_executor()).attach(*r);
    }
    context.die();
    CHECK(order == names{"first dying", "second dying", "first gone", "second gone"});
}

TEST_CASE("a resident that detached is told nothing")
{
    names told;
    diary r(told);
    mortal_context context;
    auto& registry = residents::of(context->get_executor());
    registry.attach(r);
    registry.detach(r);
    registry.detach(r);
    context.die();
    CHECK(told.empty());
}

TEST_CASE("a resident that detaches between the two calls is not told the second")
{
    names told;
    diary r(told);
    mortal_context context;
    auto& registry = residents::of(context->get_executor());
    registry.attach(r);
    r.when_dying = [&] { registry.detach(r); };
    context.die();
    CHECK(told == names{"dying"});
}

TEST_CASE("a resident that attaches while the context dies is told when the frames are gone")
{
    names told;
    names late_told;
    diary r(told);
    diary late(late_told);
    mortal_context context;
    auto& registry = residents::of(context->get_executor());
    registry.attach(r);
    r.when_dying = [&] { registry.attach(late); };
    context.die();
    CHECK(late_told == names{"frames gone"});
}

TEST_CASE("a resident may delete itself when the frames are gone")
{
    struct mortal final : loopsafe::resident {
        explicit mortal(names& list) : last_words(list, "deleted") {}
        ~mortal() = default;
        void context_dying() noexcept override {}
        void frames_gone() noexcept override { delete this; }
        tattler last_words;
    };
    names told;
    mortal_context context;
    residents::of(context->get_executor()).attach(*new mortal(told));
    context.die();
    CHECK(told == names{"deleted"});
}

TEST_CASE("a context has one registry, whichever of its executors asks")
{
    loopsafe::testing::two_contexts contexts;
    auto& registry = residents::of(contexts.a.get_executor());
    CHECK(&residents::of(asio::make_strand(contexts.a)) == &registry);
    CHECK(&residents::of(contexts.b.get_executor()) != &registry);
}

TEST_CASE("a pin is had as long as the context lives, and afterwards no more")
{
    mortal_context context;
    const auto home = context_of(*context);
    {
        const context_pin pin(home);
        const context_pin another(home);
        CHECK(pin.may_touch());
        CHECK(another.may_touch());
    }
    context.die();
    const context_pin late(home);
    CHECK_FALSE(late.may_touch());
}

TEST_CASE("no context cannot be pinned")
{
    const context_pin pin{loopsafe::context_ref()};
    CHECK_FALSE(pin.may_touch());
}

TEST_CASE("the thread that destroys a context may touch its objects until the frames are gone")
{
    names told;
    diary r(told);
    mortal_context context;
    const auto home = context_of(*context);
    residents::of(context->get_executor()).attach(r);
    bool alive = true;
    bool while_dying = false;
    bool when_gone = false;
    r.when_dying = [&] {
        alive = home.alive();
        while_dying = context_pin(home).may_touch();
    };
    r.when_gone = [&] { when_gone = context_pin(home).may_touch(); };
    context.die();
    CHECK_FALSE(alive);
    CHECK(while_dying);
    CHECK(when_gone);
    CHECK_FALSE(context_pin(home).may_touch());
}

} // namespace

} // namespace residents_tests
