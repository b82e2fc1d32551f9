// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_POOL_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_POOL_HPP

#include <loopsafe/offload/detail/connector.hpp>
#include <loopsafe/pool/connection_pool.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace loopsafe::detail {

// A pool whose connections are at home on a context that nobody runs, and that dies with the last
// reference to it. A caller that acquires waits on its own context.
template <class Connector, class Policy>
struct offloaded_pool {
    using inner_pool = connection_pool<offloaded_connector<Connector>, Policy>;
    using inner_lease = typename inner_pool::lease_type;

    offloaded_pool(Connector how, const typename Policy::options& limits, worker_threads* named)
        : workers(workers_of(named)),
          pool(make(offloaded_connector<Connector>(std::move(how), workers), limits))
    {
    }

    static asio::awaitable<inner_lease> acquire(std::shared_ptr<offloaded_pool> self,
                                                acquire_options what, std::source_location where)
    {
        auto& state = *self->pool.state_;
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        self->require_context(executor, "acquire", where);
        if (const auto fresh = state.take_fresh(&self->anchor, where))
            co_return inner_lease(fresh);
        auto ticket = state.enter(self->anchor.get_executor(), "acquire", where);
        co_return co_await state.acquire(std::move(ticket), executor, what.timeout, where);
    }

    static asio::awaitable<void> drain(std::shared_ptr<offloaded_pool> self,
                                       std::chrono::milliseconds limit, std::source_location where,
                                       const char* operation)
    {
        if (self == nullptr) // it was moved from
            co_return;
        auto& state = *self->pool.state_;
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        self->require_context(executor, operation, where);
        auto hold = state.retain(self->anchor.get_executor(), operation, where);
        co_await state.drain(std::move(hold), executor, limit, where, operation);
    }

    asio::io_context anchor{1};
    const worker_ref workers;
    inner_pool pool;

private:
    void require_context(const asio::any_io_executor& executor, const char* operation,
                         const std::source_location& where) const
    {
        if (named_context(executor) == nullptr)
            throw context_error(refusal({}, executor, pool.state_->resource(), operation, where,
                                        "call it on an io_context or a thread_pool"));
    }

    inner_pool make(offloaded_connector<Connector> how, const typename Policy::options& limits)
    {
        if constexpr (Policy::has_home)
            return inner_pool(anchor, std::move(how), limits);
        else
            return inner_pool(std::move(how), limits);
    }
};

// A connection on loan, shared by the lease and a function in progress.
template <class Connector, class Policy>
struct offloaded_loan {
    using pool_type = offloaded_pool<Connector, Policy>;

    offloaded_loan(std::shared_ptr<pool_type> p, typename pool_type::inner_lease l) noexcept
        : pool(std::move(p)), lease(std::move(l))
    {
    }
    offloaded_loan(const offloaded_loan&) = delete;
    ~offloaded_loan()
    {
        if (spoiled)
            lease.discard();
    }

    const std::shared_ptr<pool_type> pool;
    typename pool_type::inner_lease lease;
    std::atomic<bool> running{false};
    bool spoiled = false; // the lease ended in the middle of a function, or by discard()
};

// From before the call is submitted until its function has ended or is dropped: nobody else uses
// the connection.
template <class Loan>
class sole_use {
public:
    explicit sole_use(std::shared_ptr<Loan> of) : loan_(std::move(of))
    {
        if (loan_->running.exchange(true)) {
            loan_.reset();
            throw boost::system::system_error(make_error_code(errc::busy), "lease::run");
        }
    }
    sole_use(sole_use&&) noexcept = default;
    sole_use& operator=(sole_use&&) = delete;
    ~sole_use()
    {
        if (loan_ != nullptr)
            loan_->running = false;
    }

    auto& connection() const { return **loan_->lease; }

private:
    std::shared_ptr<Loan> loan_;
};

template <class Loan, class F>
auto serve(std::stop_token stop, sole_use<Loan> use, F&& fn)
{
    auto& connection = use.connection();
    blocking_access::stop_with(connection, std::move(stop));
    return std::forward<F>(fn)(connection);
}

template <class Loan, class F, class Connection>
asio::awaitable<std::invoke_result_t<F, Connection&>> run_on_worker(std::shared_ptr<Loan> loan,
                                                                    F fn, on_cancel cancelled)
{
    const auto workers = loan->pool->workers;
    sole_use use(std::move(loan));
    co_return co_await offload_to(workers, cancelled, serve<Loan, F>, std::move(use),
                                  std::move(fn));
}

} // namespace loopsafe::detail

#endif
