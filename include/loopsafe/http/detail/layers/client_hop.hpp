// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_CLIENT_HOP_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_CLIENT_HOP_HPP

#include <loopsafe/http/client.hpp>
#include <loopsafe/http/detail/client/within_total.hpp>
#include <loopsafe/http/detail/layers/chain.hpp>

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <utility>

namespace loopsafe::http::detail {

template <class PoolPolicy, class ExecutionPolicy>
class client_hop final : public last_hop {
    using client = basic_client<PoolPolicy, ExecutionPolicy>;
    using timer = typename PoolPolicy::clock_type::timer;

public:
    explicit client_hop(client&& owned) noexcept : client_(std::move(owned)), owns_(true) {}
    explicit client_hop(client& shared) noexcept : client_(shared.state_), owns_(false) {}
    ~client_hop() override
    {
        if (!owns_)
            client_.state_.reset(); // or it would be closed
    }

    void enter(exchange& x, const asio::any_io_executor& executor) const override
    {
        hop of;
        client_.enter(x.asked, of, executor, x.where);
        x.due = of.due;
        x.total = (x.asked.timeouts ? *x.asked.timeouts : client_.given().timeouts).total;
    }

    asio::awaitable<response> send(exchange& x) override
    {
        return client_.send(std::move(x.asked), hop_of(x), x.where);
    }

    asio::awaitable<void> lend(exchange& x) override
    {
        const auto response = co_await client_.open(std::move(x.asked), hop_of(x), x.where);
        co_await x.to->take(*response);
        response->drain();
    }

    asio::awaitable<void> pause(std::chrono::nanoseconds how_long) const override
    {
        timer waits(co_await asio::this_coro::executor);
        waits.expires_after(std::chrono::ceil<typename timer::duration>(how_long));
        co_await waits.async_wait(asio::use_awaitable);
    }
    asio::awaitable<void> in_time(const exchange& x, asio::awaitable<void> step) const override
    {
        return x.due ? run_in_time(x, std::move(step)) : std::move(step);
    }
    std::chrono::nanoseconds now() const override
    {
        return timer::clock_type::now().time_since_epoch();
    }
    const single_use_client_options& options() const noexcept override { return client_.given(); }

    void invalidate() noexcept override { client_.invalidate(); }
    void thaw() noexcept override { client_.thaw(); }
    void close() noexcept override { client_.close(); }
    asio::awaitable<void> async_close(std::chrono::milliseconds limit,
                                      std::source_location where) override
    {
        return client_.async_close(limit, where);
    }
    pool_stats stats() const override { return client_.stats(); }
    context_ref home() const noexcept override { return client_.home(); }

private:
    static asio::awaitable<void> run_in_time(const exchange& x, asio::awaitable<void> step)
    {
        const bool in_time = co_await finishes_by<timer>(*x.due, std::move(step));
        if (in_time)
            co_return;
        evidence seen;
        seen.timeout = "total";
        seen.allowed = x.total;
        throw error(errc::timed_out, seen, x.asked.method + ' ' + shown(x.asked.url));
    }

    static hop hop_of(const exchange& x) noexcept
    {
        return {.due = x.due, .foreign = x.foreign, .attempts = x.attempts, .hops = x.hops};
    }

    client client_;
    const bool owns_;
};

} // namespace loopsafe::http::detail

#endif
