// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_GATED_HPP
#define LOOPSAFE_TESTS_LIFETIMES_GATED_HPP

#include <loopsafe/connection_pool.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <support/descriptors.hpp>
#include <utility>

namespace lifetimes {

namespace asio = boost::asio;
using loopsafe::error_code;

/// Where connections wait when they are made or reset, until the test lets them through.
class gate {
public:
    int opened = 0;
    int closed = 0;
    bool open = false;        // let everybody through
    bool wants_reset = false; // what is used again waits here once more

    asio::awaitable<void> pass(asio::any_io_executor executor)
    {
        if (open)
            co_return;
        asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
        const waiting_mark mark(*this, timer);
        passed_ = false;
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (!passed_)
            throw boost::system::system_error(asio::error::operation_aborted, "gate");
        if (fails_)
            throw boost::system::system_error(asio::error::connection_refused, "gate");
    }

    /// Lets through whoever waits; false where nobody does.
    bool let_through(bool fails = false)
    {
        if (waiting_ == nullptr || passed_)
            return false;
        passed_ = true;
        fails_ = fails;
        waiting_->cancel();
        return true;
    }

private:
    struct waiting_mark {
        waiting_mark(gate& g, asio::steady_timer& timer) : at(g) { at.waiting_ = &timer; }
        waiting_mark(const waiting_mark&) = delete;
        ~waiting_mark() { at.waiting_ = nullptr; }
        gate& at;
    };

    asio::steady_timer* waiting_ = nullptr;
    bool passed_ = false;
    bool fails_ = false;
};

/// A connection that owns a descriptor, so that a lost one can be counted.
class gated_connection {
public:
    gated_connection(std::shared_ptr<gate> g, const asio::any_io_executor& executor)
        : socket_(executor, asio::ip::udp::v4()), gate_(std::move(g))
    {
        ++gate_->opened;
    }
    gated_connection(gated_connection&&) noexcept = default;
    gated_connection& operator=(gated_connection&&) = delete;
    ~gated_connection()
    {
        if (gate_ != nullptr)
            ++gate_->closed;
    }

    asio::any_io_executor executor() { return socket_.get_executor(); }

private:
    asio::ip::udp::socket socket_;
    std::shared_ptr<gate> gate_;
};

class gated_connector {
public:
    using connection_type = gated_connection;

    explicit gated_connector(std::shared_ptr<gate> g) : gate_(std::move(g)) {}

    asio::awaitable<gated_connection> connect(asio::any_io_executor executor) const
    {
        co_await gate_->pass(executor);
        gated_connection made(gate_, executor);
        co_await asio::post(executor, asio::use_awaitable);
        co_return made;
    }

    bool is_clean(const gated_connection&) const noexcept { return true; }
    bool probe(gated_connection&) const noexcept { return true; }
    bool needs_reset(const gated_connection&) const noexcept { return gate_->wants_reset; }
    asio::awaitable<void> reset(gated_connection& connection) const
    {
        co_await gate_->pass(connection.executor());
    }

private:
    std::shared_ptr<gate> gate_;
};

static_assert(loopsafe::connector<gated_connector>);

} // namespace lifetimes

#endif
