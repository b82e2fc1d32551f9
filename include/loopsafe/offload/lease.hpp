// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_LEASE_HPP
#define LOOPSAFE_OFFLOAD_LEASE_HPP

#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/offload/detail/pool.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace loopsafe {

namespace detail {

// Its name stands in the compiler's error.
struct call_run_with_a_function_that_takes_the_connection {};

} // namespace detail

/// A connection on loan from a pool with `thread_offload`; it is returned when the lease ends.
///
/// It belongs to no context: it may be used from any, one call at a time, and may outlive the pool.
/// If a lease ends while a function still runs, because its context died or its caller gave up, the
/// function keeps the connection. It is closed when the function ends, and counts until then.
/// Thread safety: distinct objects safe, shared objects unsafe.
template <class Connector, class PoolPolicy>
class lease<Connector, PoolPolicy, thread_offload> {
    using loan_type = detail::offloaded_loan<Connector, PoolPolicy>;

public:
    using connection_type = blocking_connection<typename Connector::connection_type>;

    /// Empty.
    lease() noexcept = default;
    lease(const lease&) = delete;            // a lease has one owner: std::move it
    lease& operator=(const lease&) = delete; // a lease has one owner: std::move it
    template <class Executor, class Cure = detail::co_await_the_acquire_to_get_its_lease>
    lease(boost::asio::awaitable<lease, Executor>&&) = delete;
    lease(lease&&) noexcept = default;
    lease& operator=(lease&& other) noexcept
    {
        lease(std::move(other)).swap(*this);
        return *this;
    }
    explicit lease(std::shared_ptr<loan_type> loan) noexcept
        : loan_(std::move(loan)) {} // for pools
    ~lease() { end(true); }

    /// Runs `fn(connection)` on a worker thread, where `connection` is a `blocking_connection`, and
    /// returns its result.
    ///
    ///     auto rows = co_await lease.run([](auto& conn) {
    ///         return conn.wait(conn->query("select 1"));
    ///     });
    ///
    /// Context: any. Per-operation cancellation: the operation that the function waits for is
    /// cancelled; `on_cancel` determines whether the caller waits for the function to end.
    /// Errors: what `fn` throws; those of `offload`; `lease_expired` (as `system_error`) if the
    /// lease is empty; `busy` while an abandoned call still runs.
    template <class F>
        requires std::invocable<std::decay_t<F>, connection_type&>
    boost::asio::awaitable<std::invoke_result_t<std::decay_t<F>, connection_type&>>
    run(F&& fn, on_cancel cancelled = on_cancel::wait)
    {
        static_assert(detail::safe_as_temporary<F>,
                      "GCC 12 would destroy the captures of this function twice: give the lambda a "
                      "name first and pass that, or capture by reference");
        if (loan_ == nullptr)
            throw boost::system::system_error(make_error_code(errc::lease_expired), "lease::run");
        return detail::run_on_worker<loan_type, std::decay_t<F>, connection_type>(
            loan_, std::forward<F>(fn), cancelled);
    }

    /// The connection is used on a worker thread only: by `run()`.
    template <class Cure = detail::call_run_with_a_function_that_takes_the_connection>
    connection_type& operator*() const = delete;
    template <class Cure = detail::call_run_with_a_function_that_takes_the_connection>
    connection_type* operator->() const = delete;

    explicit operator bool() const noexcept { return loan_ != nullptr; }

    /// None: an empty reference.
    context_ref home() const noexcept { return {}; }

    /// Returns the connection now. The lease is empty afterwards.
    void release() noexcept { end(true); }

    /// Closes the connection instead of returning it. The lease is empty afterwards.
    void discard() noexcept { end(false); }

    void swap(lease& other) noexcept { loan_.swap(other.loan_); }

private:
    void end(bool keep) noexcept
    {
        if (loan_ == nullptr)
            return;
        if (!keep || loan_.use_count() > 1)
            loan_->spoiled = true;
        loan_.reset();
    }

    std::shared_ptr<loan_type> loan_;
};

} // namespace loopsafe

#endif
