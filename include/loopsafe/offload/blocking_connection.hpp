// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_BLOCKING_CONNECTION_HPP
#define LOOPSAFE_OFFLOAD_BLOCKING_CONNECTION_HPP

#include <loopsafe/async/detail/existing_handler.hpp>
#include <loopsafe/async/detail/first_error.hpp>
#include <loopsafe/async/detail/timer.hpp>
#include <loopsafe/error.hpp>
#include <loopsafe/never.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace loopsafe {

namespace detail {
struct blocking_access;
}

/// A connection for functions that block.
///
/// It lives on a context of its own, which runs only while a thread waits for one of its
/// operations. So a thread can use everything that the connection offers to coroutines, with the
/// same deadlines and the same cancellation, and without the caller's context.
///
///     auto rows = conn.wait(conn->query("select $1::int + 1", 41));
///
/// Thread safety: distinct objects safe, shared objects unsafe.
template <class Connection>
class blocking_connection {
public:
    blocking_connection() = default;
    blocking_connection(const blocking_connection&) = delete;
    blocking_connection& operator=(const blocking_connection&) = delete;

    /// Preconditions: the connection is connected, as every connection of a pool is.
    Connection& operator*() noexcept { return *connection_; }
    const Connection& operator*() const noexcept { return *connection_; }
    Connection* operator->() noexcept { return &*connection_; }

    /// The context that its operations run on.
    boost::asio::io_context::executor_type get_executor() noexcept
    {
        return context_.get_executor();
    }

    /// Runs one operation of the connection to its end and returns its result.
    ///
    /// An operation that takes longer than `limit`, or whose caller cancels it, is cancelled
    /// (terminal), as is one beside which another handler of that context throws; `wait` still
    /// waits until it ends.
    /// Errors: what such a handler throws; what the operation throws;
    /// `boost::asio::error::timed_out` if it ended by an exception after `limit`; `nested_run` in
    /// an operation that `wait` already runs.
    template <class T>
    T wait(boost::asio::awaitable<T> operation, std::chrono::milliseconds limit = never);

private:
    friend struct detail::blocking_access;

    // Shared with the handlers: if memory runs out in between, they outlive the call.
    template <class T>
    struct pending {
        std::optional<std::conditional_t<std::is_void_v<T>, char, T>> result;
        std::exception_ptr failure;
        bool ended = false;     // there is nothing left to cancel
        bool completed = false; // and it has reported its result
        bool exists = false;    // its coroutine, which may be destroyed without completing
        bool late = false;
        boost::asio::cancellation_signal cancellation;

        void cancel()
        {
            if (!ended)
                cancellation.emit(boost::asio::cancellation_type::terminal);
        }
    };

    // The completion handler of an operation.
    template <class T>
    struct told : detail::existing_handler<pending<T>> {
        using detail::existing_handler<pending<T>>::existing_handler;

        void operator()(std::exception_ptr error) const
        {
            this->state().failure = std::move(error);
            this->state().completed = true;
        }
    };

    template <class T>
    static boost::asio::awaitable<void> complete(boost::asio::awaitable<T> operation,
                                                 std::shared_ptr<pending<T>> p)
    {
        // Also when the frame is destroyed: the signal must not reach into it any more.
        struct ending {
            pending<T>& p;
            ~ending() { p.ended = true; }
        };
        const ending at_the_end{*p};
        if constexpr (std::is_void_v<T>)
            co_await std::move(operation);
        else
            p->result.emplace(co_await std::move(operation));
    }

    boost::asio::io_context context_{1};
    std::optional<Connection> connection_;
    bool waiting_ = false;
    std::stop_token stop_; // of the call that uses it at present
};

namespace detail {

struct blocking_access {
    template <class Connection>
    static void stop_with(blocking_connection<Connection>& c, std::stop_token stop) noexcept
    {
        c.stop_ = std::move(stop);
    }
    template <class Connection>
    static void connected(blocking_connection<Connection>& c, Connection&& made)
    {
        c.connection_.emplace(std::move(made));
    }
};

} // namespace detail

template <class Connection>
template <class T>
T blocking_connection<Connection>::wait(boost::asio::awaitable<T> operation,
                                        std::chrono::milliseconds limit)
{
    namespace asio = boost::asio;
    if (waiting_)
        throw boost::system::system_error(make_error_code(errc::nested_run),
                                          "blocking_connection::wait in an operation that it runs: "
                                          "co_await instead");
    struct running {
        bool& flag;
        explicit running(bool& f) noexcept : flag(f) { flag = true; }
        ~running() { flag = false; }
    };
    const running until_it_ends(waiting_);
    const auto p = std::make_shared<pending<T>>();
    asio::steady_timer limit_timer(context_);
    if (limit != never) {
        detail::expire_after(limit_timer, limit);
        limit_timer.async_wait([p](const boost::system::error_code& ec) {
            p->late = !ec && !p->ended;
            if (p->late)
                p->cancel();
        });
    }
    asio::steady_timer stopped(context_, asio::steady_timer::time_point::max());
    stopped.async_wait([p](const boost::system::error_code&) { p->cancel(); });
    asio::co_spawn(context_, complete(std::move(operation), p), told<T>(p));
    context_.restart();
    detail::first_error of_others;
    {
        // Another thread wakes this one with a cancel, which needs no memory.
        const std::stop_callback on_stop(stop_, [&stopped] { stopped.cancel(); });
        const auto go_on = [&] {
            if (context_.run_one() == 0)
                context_.restart(); // the operation has stopped it
        };
        while (!p->completed && p->exists) {
            if (!of_others.try_to(go_on))
                of_others.try_to([&] { stopped.cancel(); }); // cancels it, on its context
        }
    }
    limit_timer.cancel();
    stopped.cancel();
    while (!of_others.try_to([&] { context_.poll(); })) {}
    of_others.rethrow();
    if (p->failure != nullptr && p->late)
        throw boost::system::system_error(asio::error::timed_out, "blocking_connection::wait");
    if (p->failure != nullptr)
        std::rethrow_exception(p->failure);
    if (!p->completed)
        throw boost::system::system_error(asio::error::operation_aborted,
                                          "blocking_connection::wait");
    if constexpr (!std::is_void_v<T>)
        return *std::move(p->result);
}

} // namespace loopsafe

#endif
