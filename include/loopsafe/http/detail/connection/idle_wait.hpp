// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_IDLE_WAIT_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_IDLE_WAIT_HPP

#include <boost/asio/any_io_executor.hpp>

#if !defined(BOOST_ASIO_NO_TS_EXECUTORS)
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#endif

namespace loopsafe::http::detail {

// Lets a context run out of work although a timer waits on it, like libuv's uv_unref: run() must
// not continue for half a minute because an idle connection has a deadline that nobody needs.
//
// A wait counts as work until its handler has been called. So it is taken off the count once it has
// begun, and the handler first puts it back. A handler that is destroyed was not counted. That
// holds only for the executor of an io_context, since any other adds work of its own: there, each
// wait is cancelled instead.
#if defined(BOOST_ASIO_NO_TS_EXECUTORS)
class idle_wait {
public:
    explicit idle_wait(const boost::asio::any_io_executor& executor) : executor_(executor) {}
    const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
    bool can_be_left() const noexcept { return false; }
    void leave() const noexcept {}
    void resume() const noexcept {}

private:
    boost::asio::any_io_executor executor_;
};
#else
class idle_wait {
public:
    explicit idle_wait(const boost::asio::any_io_executor& executor)
    {
        namespace asio = boost::asio;
        if (const auto* in = executor.target<asio::strand<asio::io_context::executor_type>>())
            find(in->get_inner_executor());
        else if (const auto* any = executor.target<asio::strand<asio::any_io_executor>>())
            find(any->get_inner_executor());
        else
            find(executor);
    }

    // For the timer.
    const boost::asio::any_io_executor& executor() const noexcept { return executor_; }

    bool can_be_left() const noexcept { return loop_ != nullptr; }

    void leave() const noexcept
    {
        if (loop_ != nullptr)
            loop_->get_executor().on_work_finished();
    }

    void resume() const noexcept
    {
        if (loop_ != nullptr)
            loop_->get_executor().on_work_started();
    }

private:
    void find(const boost::asio::any_io_executor& executor)
    {
        namespace asio = boost::asio;
        executor_ = executor;
        if (const auto* loop = executor.target<asio::io_context::executor_type>())
            loop_ = &loop->context();
    }

    boost::asio::any_io_executor executor_;
    boost::asio::io_context* loop_ = nullptr;
};
#endif

} // namespace loopsafe::http::detail

#endif
