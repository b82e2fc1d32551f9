// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: what is cancelled here has not left its thread yet.
//
// Operations that are cancelled before they have begun, or while they do and end without a wait.
// Boost 1.81 would throw that out of the context.
#include <loopsafe/offloaded_connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <support/run_until.hpp>
#include <support/scripted.hpp>
#include <support/texts.hpp>

namespace cancelled_early_tests {

namespace {

using namespace support;
using loopsafe::error_code;

struct caller {
    asio::io_context context{1};
    asio::cancellation_signal signal;
    std::optional<error_code> told;

    void cancel() { signal.emit(asio::cancellation_type::terminal); }

    // A completion handler that can be cancelled.
    auto token()
    {
        return asio::bind_executor(
            context.get_executor(),
            asio::bind_cancellation_slot(signal.slot(),
                                         [this](error_code ec, auto&&...) { told = ec; }));
    }
};

using connector = loopsafe::testing::scripted_connector;
connector some_connector()
{
    return connector(std::make_shared<loopsafe::testing::connect_script>());
}

TEST_CASE("an operation that is cancelled before it began ends cancelled")
{
    const std::function<void(caller&)> operations[] = {
        [](caller& c) {
            const auto pool = std::make_shared<loopsafe::connection_pool<connector>>(
                c.context.get_executor(), some_connector());
            pool->async_acquire(c.token());
            run_until(c.context, [&] { return c.told.has_value(); });
        },
        [](caller& c) {
            loopsafe::connection_pool<connector> pool(c.context.get_executor(), some_connector());
            pool.async_close(std::chrono::hours(1), c.token());
            run_until(c.context, [&] { return c.told.has_value(); });
        },
        [](caller& c) {
            loopsafe::async_offload(
                c.context.get_executor(), [] { FAIL("it was cancelled"); },
                asio::bind_executor(c.context.get_executor(),
                                    asio::bind_cancellation_slot(
                                        c.signal.slot(), [&c](const std::exception_ptr& e) {
                                            c.told = loopsafe::detail::code_of(e);
                                        })));
            run_until(c.context, [&] { return c.told.has_value(); });
        },
    };
    for (const auto& operation : operations) {
        caller c;
        asio::post(c.context, [&] { c.cancel(); });
        operation(c); // from outside of the context, so it is queued behind
        CHECK(*c.told == asio::error::operation_aborted);
    }
}

TEST_CASE("a close that a hook cancels, and that has nothing to wait for, ends")
{
    caller c;
    loopsafe::connection_pool<connector> pool(c.context.get_executor(), some_connector());
    bool connected = false;
    pool.async_acquire([&](error_code, auto) { connected = true; });
    run_until(c.context, [&] { return connected; });
    c.context.poll();
    int closed = 0;
    pool.on_event([&](const loopsafe::pool_event& e) {
        if (e.what == loopsafe::pool_event::kind::closed) {
            ++closed;
            c.cancel();
        }
    });
    asio::post(c.context, [&] { pool.async_close(std::chrono::hours(1), c.token()); });
    run_until(c.context, [&] { return c.told.has_value(); });
    CHECK(closed == 1);
}

// Connects without a wait, and cancels its caller.
struct hasty_connector {
    using connection_type = int;

    asio::awaitable<int> connect(asio::any_io_executor) const
    {
        asked_by->cancel();
        co_return 1;
    }
    bool is_clean(const int&) const noexcept { return true; }
    bool probe(int&) const noexcept { return true; }

    caller* asked_by;
};

TEST_CASE("a connect that cancels its caller, and has nothing to wait for, ends")
{
    caller c;
    loopsafe::connection_pool<hasty_connector> pool(c.context.get_executor(), hasty_connector{&c});
    asio::post(c.context, [&] { pool.async_acquire(c.token()); });
    run_until(c.context, [&] { return c.told.has_value(); });
    CHECK(pool.stats().connecting == 0);
}

} // namespace

} // namespace cancelled_early_tests
