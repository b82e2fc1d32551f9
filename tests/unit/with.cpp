// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/scopes.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <utility>

namespace with_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::errc;
using loopsafe::with;
using loopsafe::with_options;

enum class body_end { returns, throws, is_cancelled };
enum class close_end { quick, throws, hangs, is_cancelled };

asio::awaitable<void> wait_for_ever()
{
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

// What happens to a resource, in order.
struct story {
    names log;
    close_end how = close_end::quick;
    asio::steady_timer* hangs_on = nullptr;
    asio::cancellation_signal caller;

    struct forgets {
        story& of;
        ~forgets() { of.hangs_on = nullptr; }
    };

    asio::awaitable<void> close_slowly()
    {
        log.push_back("async_close");
        co_await asio::post(asio::use_awaitable);
        if (how == close_end::throws)
            throw std::runtime_error("close");
        if (how == close_end::is_cancelled) {
            caller.emit(asio::cancellation_type::terminal);
            co_await asio::post(asio::use_awaitable);
        }
        if (how == close_end::hangs) {
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            hangs_on = &timer;
            const forgets at_the_end{*this};
            co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
            if (log.back() != "close")
                log.push_back("cancelled");
            throw std::runtime_error("ended");
        }
        log.push_back("closed");
    }
    void close()
    {
        log.push_back("close");
        if (hangs_on != nullptr)
            hangs_on->cancel();
    }
};

// Keeps to no limit itself.
struct without_limit {
    explicit without_limit(story& s) : of(&s) {}
    asio::awaitable<void> async_close() { return of->close_slowly(); }
    void close() { of->close(); }
    story* of;
};

// Takes a limit, and leaves it to its caller to believe in it.
struct with_limit {
    explicit with_limit(story& s) : of(&s) {}
    asio::awaitable<void> async_close(std::chrono::milliseconds limit)
    {
        if (of->how == close_end::hangs && limit != loopsafe::never) {
            of->log.push_back("async_close");
            throw system_error(make_error_code(errc::timed_out));
        }
        return of->close_slowly();
    }
    void close() { of->close(); }
    story* of;
};

struct only_close {
    explicit only_close(story& s) : of(&s) {}
    void close()
    {
        of->close();
        if (of->how == close_end::throws)
            throw std::runtime_error("close");
        if (of->how == close_end::is_cancelled)
            of->caller.emit(asio::cancellation_type::terminal);
    }
    story* of;
};

static_assert(loopsafe::closable<without_limit&> && loopsafe::closable<with_limit> &&
              loopsafe::closable<only_close> && !loopsafe::closable<int>);

std::string outcome_of(const std::exception_ptr& error)
{
    if (error == nullptr)
        return "value";
    try {
        std::rethrow_exception(error);
    } catch (const system_error& e) {
        return e.code() == asio::error::operation_aborted ? "aborted" : e.code().message();
    } catch (const std::exception& e) {
        return e.what();
    }
}

// Only what hangs is to be late, on any machine.
with_options limit_for(close_end closing)
{
    return {.close_within = closing == close_end::hangs ? 1ms : 1h};
}

template <class Resource>
std::string play(story& s, body_end body_ends, const with_options& options)
{
    asio::io_context context(1);
    Resource resource(s);
    const auto main = [&]() -> asio::awaitable<int> {
        const auto body = [&](Resource& r) -> asio::awaitable<int> {
            CHECK(&r == &resource);
            s.log.push_back("body");
            co_await asio::post(asio::use_awaitable);
            if (body_ends == body_end::throws)
                throw std::runtime_error("body");
            if (body_ends == body_end::is_cancelled) {
                s.caller.emit(asio::cancellation_type::terminal);
                co_await wait_for_ever();
            }
            co_return 7;
        };
        co_return co_await with(resource, body, options);
    };
    std::string text;
    asio::co_spawn(context, main(),
                   asio::bind_cancellation_slot(s.caller.slot(),
                                                [&](const std::exception_ptr& error, int value) {
                                                    CHECK((error != nullptr || value == 7));
                                                    text = outcome_of(error);
                                                }));
    context.run();
    return text;
}

const std::string timed_out = make_error_code(errc::timed_out).message();

std::string expected(body_end body, close_end closing)
{
    if (body == body_end::throws)
        return "body";
    if (closing == close_end::throws)
        return "close";
    if (closing == close_end::hangs)
        return timed_out;
    return body == body_end::is_cancelled || closing == close_end::is_cancelled ? "aborted"
                                                                                : "value";
}

constexpr body_end all_bodies[] = {body_end::returns, body_end::throws, body_end::is_cancelled};
constexpr close_end all_closings[] = {close_end::quick, close_end::throws, close_end::hangs,
                                      close_end::is_cancelled};

TEST_CASE(
    "with: the error of its body, then that of closing, then the cancellation, and closed once")
{
    for (const auto body : all_bodies) {
        for (const auto closing : all_closings) {
            CAPTURE(static_cast<int>(body));
            CAPTURE(static_cast<int>(closing));
            const auto limit = limit_for(closing);
            const bool fails = closing == close_end::throws || closing == close_end::hangs;
            const names as_planned = fails ? names{"body", "async_close", "close"}
                                           : names{"body", "async_close", "closed"};
            story own{.log = {}, .how = closing, .caller = {}};
            CHECK(play<without_limit>(own, body, limit) == expected(body, closing));
            CHECK(own.log == as_planned);
            story limited{.log = {}, .how = closing, .caller = {}};
            CHECK(play<with_limit>(limited, body, limit) == expected(body, closing));
            CHECK(limited.log == as_planned);
            if (closing == close_end::hangs)
                continue;
            story plain{.log = {}, .how = closing, .caller = {}};
            CHECK(play<only_close>(plain, body, limit) == expected(body, closing));
            CHECK(plain.log == names{"body", "close"});
        }
    }
}

TEST_CASE("with: no time is close() alone, and never is no limit")
{
    for (const auto body : all_bodies) {
        story none{.log = {}, .how = close_end::hangs, .caller = {}};
        CHECK(play<without_limit>(none, body, {.close_within = 0ms}) ==
              expected(body, close_end::quick));
        CHECK(none.log == names{"body", "close"});
        story never{.log = {}, .how = close_end::quick, .caller = {}};
        CHECK(play<without_limit>(never, body, {.close_within = loopsafe::never}) ==
              expected(body, close_end::quick));
        CHECK(never.log == names{"body", "async_close", "closed"});
    }
}

TEST_CASE("with: a second error is rethrown at the end of run")
{
    story s{.log = {}, .how = close_end::throws, .caller = {}};
    bool caught = false;
    const auto main = [&]() -> asio::awaitable<void> {
        const auto body = [](without_limit&) -> asio::awaitable<void> {
            throw std::runtime_error("body");
            co_return;
        };
        try {
            co_await with(without_limit(s), body);
        } catch (const std::runtime_error& e) {
            caught = std::string(e.what()) == "body";
        }
    };
    CHECK_THROWS_WITH_AS(loopsafe::run(main), "close", std::runtime_error);
    CHECK(caught);
}

TEST_CASE("with: a caller that asked to hear of no cancellation gets its value")
{
    story s{.log = {}, .how = close_end::is_cancelled, .caller = {}};
    asio::io_context context(1);
    int value = 0;
    const auto main = [&]() -> asio::awaitable<void> {
        co_await asio::this_coro::throw_if_cancelled(false);
        const auto body = [](without_limit&) -> asio::awaitable<int> { co_return 7; };
        value = co_await with(without_limit(s), body);
        CHECK_FALSE(co_await asio::this_coro::throw_if_cancelled());
    };
    asio::co_spawn(context, main(), asio::bind_cancellation_slot(s.caller.slot(), asio::detached));
    context.run();
    CHECK(value == 7);
}

TEST_CASE("with: a resource of its own, and values that cannot be copied")
{
    story s{.log = {}, .caller = {}};
    struct owner : without_limit {
        explicit owner(story& told) : without_limit(told) {}
        std::unique_ptr<int> only = std::make_unique<int>(5);
    };
    loopsafe::run([&]() -> asio::awaitable<void> {
        const auto body = [](owner& o) -> asio::awaitable<std::unique_ptr<int>> {
            co_return std::move(o.only);
        };
        const auto given = co_await with(owner(s), body);
        CHECK(*given == 5);
    });
    CHECK(s.log == names{"async_close", "closed"});
}

TEST_CASE("with: a pool is closed when its leases are back, or after its time")
{
    using pool_type = loopsafe::connection_pool<loopsafe::testing::scripted_connector>;
    loopsafe::runner loop;
    const auto script = std::make_shared<loopsafe::testing::connect_script>();
    loop.run([&]() -> asio::awaitable<void> {
        pool_type pool(loop.get_executor(), loopsafe::testing::scripted_connector(script));
        const auto borrows = [](pool_type& p) -> asio::awaitable<int> {
            co_await p.acquire();
            co_return 3;
        };
        CHECK(co_await with(pool, borrows) == 3);
        CHECK(script->opened == 1);
        CHECK(script->closed == 1);
        loopsafe::error_code ec;
        try {
            co_await pool.acquire();
        } catch (const system_error& e) {
            ec = e.code();
        }
        CHECK(ec == errc::pool_closed);
    });
    loop.run([&]() -> asio::awaitable<void> {
        pool_type pool(loop.get_executor(), loopsafe::testing::scripted_connector(script));
        const auto keeps = [](pool_type& p) -> asio::awaitable<pool_type::lease_type> {
            co_return co_await p.acquire();
        };
        loopsafe::error_code ec;
        try {
            co_await with(pool, keeps, {.close_within = 1ms});
        } catch (const system_error& e) {
            ec = e.code();
        }
        CHECK(ec == errc::close_timeout);
    });
    CHECK(script->opened == script->closed);
}

TEST_CASE("with: whenever the context dies, what is open is closed")
{
    for (const auto closing : all_closings) {
        bool ended = false;
        for (int steps = 0; !ended; ++steps) {
            REQUIRE(steps < 50);
            story s{.log = {}, .how = closing, .caller = {}};
            bool entered = false;
            {
                asio::io_context context(1);
                const auto main = [&]() -> asio::awaitable<void> {
                    const auto body = [&](without_limit&) -> asio::awaitable<void> {
                        entered = true;
                        co_await asio::post(asio::use_awaitable);
                    };
                    co_await with(without_limit(s), body, limit_for(closing));
                };
                asio::co_spawn(context, main(), [&](const std::exception_ptr&) { ended = true; });
                for (int i = 0; i != steps && context.run_one() != 0; ++i) {}
            }
            if (entered && !ended)
                CHECK((s.log.back() == "close" || s.log.back() == "closed"));
        }
    }
}

TEST_CASE("with: cancelled at every point, it is closed")
{
    for (const auto closing : all_closings) {
        bool was_over = false;
        for (int steps = 0; !was_over; ++steps) {
            REQUIRE(steps < 50);
            story s{.log = {}, .how = closing, .caller = {}};
            bool ended = false, entered = false;
            asio::io_context context(1);
            const auto main = [&]() -> asio::awaitable<void> {
                const auto body = [&](without_limit&) -> asio::awaitable<void> {
                    entered = true;
                    co_await asio::post(asio::use_awaitable);
                };
                co_await with(without_limit(s), body, limit_for(closing));
            };
            asio::co_spawn(context, main(),
                           asio::bind_cancellation_slot(
                               s.caller.slot(), [&](const std::exception_ptr&) { ended = true; }));
            for (int i = 0; i != steps && context.run_one() != 0; ++i) {}
            was_over = ended;
            s.caller.emit(asio::cancellation_type::terminal);
            context.run();
            CHECK(ended);
            const bool has_closed =
                !s.log.empty() && (s.log.back() == "close" || s.log.back() == "closed");
            CHECK(has_closed == entered);
        }
    }
}

} // namespace

} // namespace with_tests
