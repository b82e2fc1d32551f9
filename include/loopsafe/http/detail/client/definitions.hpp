// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_DEFINITIONS_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_DEFINITIONS_HPP

#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/http/detail/client/perform.hpp>
#include <loopsafe/http/detail/client/state.hpp>

// The bodies of basic_client, which its header includes at its end.
namespace loopsafe::http {

template <class PoolPolicy, class ExecutionPolicy>
basic_client<PoolPolicy, ExecutionPolicy>::basic_client(
    const loopsafe::detail::located_executor& home, options with)
    requires(PoolPolicy::has_home && !offloaded)
    : state_(loopsafe::detail::share_new<state>(std::move(with), &home, nullptr))
{
}

template <class PoolPolicy, class ExecutionPolicy>
basic_client<PoolPolicy, ExecutionPolicy>::basic_client(options with)
    requires(!PoolPolicy::has_home && !offloaded)
    : state_(loopsafe::detail::share_new<state>(std::move(with), nullptr, nullptr))
{
}

template <class PoolPolicy, class ExecutionPolicy>
basic_client<PoolPolicy, ExecutionPolicy>::basic_client(options with, worker_threads* workers)
    requires(offloaded)
    : state_(loopsafe::detail::share_new<state>(std::move(with), nullptr, workers))
{
}

template <class PoolPolicy, class ExecutionPolicy>
boost::asio::awaitable<response>
basic_client<PoolPolicy, ExecutionPolicy>::send(request what, std::source_location where)
{
    return detail::perform<response>(state_, detail::outcome<state, response>(std::move(what)),
                                     where);
}

template <class PoolPolicy, class ExecutionPolicy>
boost::asio::awaitable<response>
basic_client<PoolPolicy, ExecutionPolicy>::send(const char* method, std::string&& url,
                                                request_body&& body, std::source_location where)
{
    return detail::perform<response>(
        state_, detail::outcome<state, response>(method, std::move(url), std::move(body)), where);
}

template <class PoolPolicy, class ExecutionPolicy>
void basic_client<PoolPolicy, ExecutionPolicy>::enter(request& asked, detail::hop& of,
                                                      const boost::asio::any_io_executor& executor,
                                                      const std::source_location& where) const
{
    if (state_ == nullptr)
        state::refuse_closed(where);
    state_->require_home(executor, "send", where);
    state_->make_absolute(asked);
    of.due = state_->due(asked);
}

template <class PoolPolicy, class ExecutionPolicy>
const single_use_client_options& basic_client<PoolPolicy, ExecutionPolicy>::given() const noexcept
{
    return state_->given();
}

template <class PoolPolicy, class ExecutionPolicy>
boost::asio::awaitable<response>
basic_client<PoolPolicy, ExecutionPolicy>::send(request what, const detail::hop& of,
                                                std::source_location where)
{
    return detail::perform<response>(state_, detail::outcome<state, response>(std::move(what), of),
                                     where);
}

template <class PoolPolicy, class ExecutionPolicy>
boost::asio::awaitable<std::unique_ptr<detail::open_response>>
basic_client<PoolPolicy, ExecutionPolicy>::open(request what, const detail::hop& of,
                                                std::source_location where)
{
    using opened = std::unique_ptr<detail::open_response>;
    return detail::perform<opened>(state_, detail::outcome<state, opened>(std::move(what), of),
                                   where);
}

template <class PoolPolicy, class ExecutionPolicy>
void basic_client<PoolPolicy, ExecutionPolicy>::invalidate() noexcept
{
    if (const auto kept = state_; kept != nullptr) // a hook may destroy the client
        kept->invalidate();
}

template <class PoolPolicy, class ExecutionPolicy>
void basic_client<PoolPolicy, ExecutionPolicy>::thaw() noexcept
{
    if (state_ != nullptr)
        state_->thaw();
}

template <class PoolPolicy, class ExecutionPolicy>
void basic_client<PoolPolicy, ExecutionPolicy>::drop_parked() noexcept
    requires carries_over<PoolPolicy>
{
    if (const auto kept = state_; kept != nullptr) // a hook may destroy the client
        kept->drop_parked();
}

template <class PoolPolicy, class ExecutionPolicy>
void basic_client<PoolPolicy, ExecutionPolicy>::close() noexcept
{
    if (const auto kept = state_; kept != nullptr) // a hook may destroy the client
        kept->close();
}

template <class PoolPolicy, class ExecutionPolicy>
boost::asio::awaitable<void>
basic_client<PoolPolicy, ExecutionPolicy>::async_close(std::chrono::milliseconds limit,
                                                       std::source_location where)
{
    return detail::drain(state_, limit, where);
}

template <class PoolPolicy, class ExecutionPolicy>
pool_stats basic_client<PoolPolicy, ExecutionPolicy>::stats() const
{
    pool_stats sum;
    if (state_ == nullptr)
        return sum;
    state_->servers().each([&sum](const auto& each, auto) {
        const auto one = each->pool.stats();
        sum.idle += one.idle;
        sum.leased += one.leased;
        sum.connecting += one.connecting;
        sum.waiting += one.waiting;
        sum.parked += one.parked;
        sum.acquired += one.acquired;
        sum.reused += one.reused;
        sum.connects += one.connects;
        sum.connect_failures += one.connect_failures;
        sum.refused += one.refused;
        sum.acquire_timeouts += one.acquire_timeouts;
        sum.queue_full += one.queue_full;
        sum.times_parked += one.times_parked;
        sum.adopted += one.adopted;
        sum.dropped += one.dropped;
        for (std::size_t i = 0; i != sum.closed_because.size(); ++i)
            sum.closed_because[i] += one.closed_because[i];
    });
    return sum;
}

template <class PoolPolicy, class ExecutionPolicy>
context_ref basic_client<PoolPolicy, ExecutionPolicy>::home() const noexcept
{
    return state_ != nullptr ? state_->home() : context_ref();
}

} // namespace loopsafe::http

#endif
