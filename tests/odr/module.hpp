// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_ODR_MODULE_HPP
#define LOOPSAFE_TESTS_ODR_MODULE_HPP

#include <loopsafe.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <string>

// What a program, or a shared library that hides its symbols, does with pools of its own. Compiled
// into each of them.
namespace module {

namespace asio = boost::asio;
using loopsafe::testing::connect_script;
using loopsafe::testing::run_on;
using loopsafe::testing::scripted_connector;

// Acquires as a coroutine and with a callback, is refused elsewhere, waits, is cancelled, offloads,
// and lets the context die with a connection idle and one on loan.
template <class Pool, class... Home>
void use(asio::io_context& context, std::string& wrong, const char* name, Home&... home)
{
    const auto check = [&](bool holds, const char* what) {
        if (!holds)
            wrong += std::string(name) + ": " + what + "; ";
    };
    typename Pool::options limits;
    limits.max_size = 2;
    const auto script = std::make_shared<connect_script>();
    auto pool = Pool(home..., scripted_connector(script), limits);
    auto first = run_on(context, pool.acquire());
    auto second = run_on(context, pool.acquire());
    check(first->number() == 1 && second->number() == 2, "acquire");
    asio::cancellation_signal signal;
    loopsafe::error_code ended;
    pool.async_acquire(context.get_executor(),
                       asio::bind_cancellation_slot(
                           signal.slot(), [&](loopsafe::error_code ec, auto) { ended = ec; }));
    context.restart();
    context.poll();
    signal.emit(asio::cancellation_type::terminal);
    context.restart();
    context.poll();
    check(ended == asio::error::operation_aborted, "cancel");
    first.release();
    const bool keeps = Pool::policy_type::keeps_idle;
    check(run_on(context, pool.acquire())->number() == (keeps ? 1 : 3), "reuse");
    check(run_on(context, loopsafe::offload([] { return 42; })) == 42, "offload");
    check(pool.stats().leased == 1 && pool.stats().idle == (keeps ? 1u : 0u), "count");
}

inline std::string run_pools(asio::io_context& context)
{
    std::string wrong;
    use<loopsafe::connection_pool<scripted_connector>>(context, wrong, "keep_alive_pool", context);
    use<loopsafe::connection_pool<scripted_connector, loopsafe::null_pool>>(context, wrong,
                                                                            "null_pool");
    use<loopsafe::connection_pool<scripted_connector, loopsafe::per_context_pool>>(
        context, wrong, "per_context_pool");
    return wrong;
}

// On a context of its own, and on that of another module, which knows it by `id`.
inline std::string run_all(asio::io_context& shared, const loopsafe::context_id& id)
{
    std::string wrong = run_pools(shared);
    if (loopsafe::context_of(shared).id() != id)
        wrong += "the id of a context; ";
    asio::io_context own(1);
    return wrong + run_pools(own);
}

} // namespace module

#endif
