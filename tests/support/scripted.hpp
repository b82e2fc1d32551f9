// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_SCRIPTED_HPP
#define LOOPSAFE_TESTS_SUPPORT_SCRIPTED_HPP

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/manual_clock.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <mutex>
#include <support/run_until.hpp>
#include <support/texts.hpp>

namespace support {

using loopsafe::close_reason;
using loopsafe::errc;
using loopsafe::testing::connect_script;
using loopsafe::testing::manual_clock;
using loopsafe::testing::scripted_connector;
using outcome = connect_script::outcome;

using keep_alive = loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, manual_clock>;
using per_context = loopsafe::basic_per_context_pool<loopsafe::pool_mutex, manual_clock>;
using carry_over = loopsafe::basic_carry_over_pool<loopsafe::pool_mutex, manual_clock>;
using null = loopsafe::basic_null_pool<loopsafe::pool_mutex, manual_clock>;

template <class Policy>
using scripted_pool = loopsafe::connection_pool<scripted_connector, Policy>;

template <class Connector, class Policy>
loopsafe::connection_pool<Connector, Policy> make_pool(asio::io_context& home, Connector connector,
                                                       typename Policy::options limits)
{
    if constexpr (Policy::has_home)
        return {home, std::move(connector), std::move(limits)};
    else
        return loopsafe::connection_pool<Connector, Policy>(std::move(connector),
                                                            std::move(limits));
}

/// An acquire under way on `context`, which the test can look at and cancel.
template <class Lease>
class attempt {
public:
    attempt(asio::io_context& context, asio::awaitable<Lease> acquire) : context_(context)
    {
        asio::co_spawn(
            context, std::move(acquire),
            asio::bind_cancellation_slot(
                state_->signal.slot(), [s = state_](const std::exception_ptr& error, Lease lease) {
                    s->done = true;
                    s->error = error;
                    s->lease = std::move(lease);
                }));
    }

    bool done() const { return state_->done; }
    /// Outside of the context this takes effect when the context next runs.
    void cancel(asio::cancellation_type type = asio::cancellation_type::terminal)
    {
        state_->signal.emit(type);
    }
    void wait()
    {
        run_until(context_, [this] { return done(); });
    }

    /// The lease, once there is one; throws what the acquire threw.
    Lease& lease()
    {
        wait();
        if (state_->error != nullptr)
            std::rethrow_exception(state_->error);
        return state_->lease;
    }

    /// What became of it.
    loopsafe::error_code code()
    {
        wait();
        if (state_->error == nullptr)
            return {};
        return thrown_by<boost::system::system_error>(
                   [this] { std::rethrow_exception(state_->error); })
            .code();
    }
    std::string text()
    {
        wait();
        return text_of(state_->error);
    }

private:
    struct state {
        asio::cancellation_signal signal;
        Lease lease;
        std::exception_ptr error;
        bool done = false;
    };
    asio::io_context& context_;
    std::shared_ptr<state> state_ = std::make_shared<state>();
};

/// A pool with a scripted connector and a clock that the test moves.
template <class Policy = keep_alive>
class scripted {
public:
    using pool_type = scripted_pool<Policy>;
    using lease_type = typename pool_type::lease_type;
    using options = typename Policy::options;

    explicit scripted(options limits = {})
        : pool((manual_clock::reset(), make_pool<scripted_connector, Policy>(
                                           context, scripted_connector(script), std::move(limits))))
    {
    }

    lease_type acquire(loopsafe::acquire_options what = {})
    {
        return run_on(context, pool.acquire(what));
    }

    attempt<lease_type> start(loopsafe::acquire_options what = {})
    {
        return {context, pool.acquire(what)};
    }

    /// As `start()`, and runs the context until the acquire stands in the queue.
    attempt<lease_type> start_waiting(loopsafe::acquire_options what = {})
    {
        const auto before = pool.stats().waiting;
        auto started = start(what);
        run_until(context, [&] { return pool.stats().waiting == before + 1; });
        return started;
    }

    void advance(std::chrono::nanoseconds by)
    {
        manual_clock::advance(context, by);
        run_ready(context);
    }

    asio::io_context context{1};
    std::shared_ptr<connect_script> script = std::make_shared<connect_script>();
    pool_type pool;
};

/// The number of the connection that a lease holds.
template <class Lease>
int number(const Lease& lease)
{
    return lease->number();
}

} // namespace support

#endif
