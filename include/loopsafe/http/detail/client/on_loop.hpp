// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_ON_LOOP_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_ON_LOOP_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/context/ref.hpp>
#include <loopsafe/http/detail/call.hpp>
#include <loopsafe/http/detail/client/open_response.hpp>
#include <loopsafe/http/detail/client/within_total.hpp>

#include <boost/asio/this_coro.hpp>

#include <cstddef>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

// Objects that belong to a request belong to its context.
inline void require_same(const context_ref& home, const asio::any_io_executor& asking,
                         const char* resource, const char* operation,
                         const std::source_location& where)
{
    if (loopsafe::detail::at_home(home, asking)) [[likely]]
        return;
    throw context_error(loopsafe::detail::refusal(
        home, asking, resource, operation, where,
        "use it in the context that sent the request; to use a response in another one, read all "
        "of it with send()"));
}

// An exchange that runs where its caller runs.
template <class State>
class on_loop {
public:
    class incoming;

    template <class... Request>
    explicit on_loop(Request&&... what) : call_(std::forward<Request>(what)...)
    {
    }
    on_loop(const on_loop&) = delete;
    on_loop& operator=(const on_loop&) = delete;

    call& the_call() noexcept { return call_; }

    typename State::lease_type take_idle(typename State::pool_type& from,
                                         const asio::any_io_executor& executor,
                                         const std::source_location& where) noexcept
    {
        return from.try_acquire(executor, where);
    }

    // Without a wait: true if the response is expected to be there after a turn().
    bool send_at_once()
    {
        if (call_.asked.body.is_streamed())
            return false;
        auto& on = connection();
        on.send_at_once(call_);
        return on.expects_response_soon();
    }
    auto turn() { return connection().turn(); }
    bool receive_at_once(error_code ec) { return connection().receive_at_once(call_, ec); }

    asio::awaitable<void> finish()
    {
        return call_.asked.body.is_streamed() ? upload() : connection().finish(call_);
    }

private:
    class writer;

    asio::awaitable<void> upload();
    typename State::connection_type& connection() const { return **lease; }

    call call_; // goes last: the connection refers to it

public:
    typename State::permit permit;
    typename State::lease_type lease;
};

template <class State>
class on_loop<State>::incoming final : public open_response {
public:
    incoming(request&& what, const hop& of) : x_(std::move(what), of) { x_.call_.streamed = true; }

    on_loop& way() noexcept { return x_; }
    void settle(const asio::any_io_executor& executor) { home_ = context_of(executor); }

    const response_head& head() const noexcept override { return x_.call_.answer; }
    const fields& trailers() const noexcept override { return x_.call_.answer.trailers; }
    const evidence& seen() const noexcept override { return x_.call_.answer.seen; }
    std::optional<std::uint64_t> length() const noexcept override { return x_.call_.length; }

    asio::awaitable<std::size_t> read_some(asio::mutable_buffer to,
                                           std::source_location where) override
    {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        require_same(home_, executor, "http::incoming_response", "read_some", where);
        co_return co_await x_.connection().read_some(x_.call_, to);
    }

    void drain() override { x_.connection().drain(x_.call_); }

private:
    on_loop x_;
    context_ref home_;
};

template <class State>
class on_loop<State>::writer final : public body_writer {
public:
    writer(on_loop& x, const asio::any_io_executor& executor) : x_(x), home_(context_of(executor))
    {
    }

    asio::awaitable<bool> write(std::string_view bytes, std::source_location where) override
    {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        require_same(home_, executor, "http::body_writer", "write", where);
        require_unbroken(x_.call_);
        x_.call_.writing = true;
        const bool more = co_await x_.connection().write_part(x_.call_, bytes);
        x_.call_.writing = false;
        co_return more;
    }

private:
    on_loop& x_;
    const context_ref home_;
};

template <class State>
asio::awaitable<void> on_loop<State>::upload()
{
    connection().begin(call_);
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    writer to(*this, executor);
    try {
        co_await within_total<typename State::timer_type>(call_, call_.asked.body.make()(to));
    } catch (const error&) {
        throw;
    } catch (...) {
        call_.failed = false; // it is not the connection's fault
        throw;
    }
    require_unbroken(call_);
    call_.writing = true; // a write that comes later is refused
    co_await connection().end_body(call_, to.trailers);
    co_await connection().receive(call_);
}

} // namespace loopsafe::http::detail

#endif
