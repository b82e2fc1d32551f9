// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_ON_WORKER_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_ON_WORKER_HPP

#include <loopsafe/http/detail/call.hpp>
#include <loopsafe/http/detail/client/open_response.hpp>
#include <loopsafe/http/detail/client/within_total.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

// An exchange whose connection is used on worker threads only. A step in progress may outlive its
// caller, so the step shares everything that it touches.
template <class State>
class on_worker {
    using blocking = typename State::lease_type::connection_type;

public:
    class incoming;

    template <class... Request>
    explicit on_worker(Request&&... what)
        : call_(std::make_shared<call>(std::forward<Request>(what)...))
    {
    }
    on_worker(const on_worker&) = delete;
    on_worker& operator=(const on_worker&) = delete;

    call& the_call() noexcept { return *call_; }

    typename State::lease_type take_idle(typename State::pool_type&, const asio::any_io_executor&,
                                         const std::source_location&) noexcept
    {
        return {};
    }

    asio::awaitable<void> exchange()
    {
        if (call_->asked.body.is_streamed())
            return upload();
        const auto step = [c = call_](blocking& b) { b.wait((*b)->exchange(*c)); };
        return lease.run(step);
    }

private:
    class writer;

    asio::awaitable<void> upload();

    std::shared_ptr<call> call_;

public:
    typename State::permit permit;
    typename State::lease_type lease;
};

template <class State>
class on_worker<State>::incoming final : public open_response {
public:
    incoming(request&& what, const hop& of) : x_(std::move(what), of) { x_.call_->streamed = true; }

    on_worker& way() noexcept { return x_; }
    void settle(const asio::any_io_executor&) noexcept {}

    const response_head& head() const noexcept override { return x_.call_->answer; }
    const fields& trailers() const noexcept override { return x_.call_->answer.trailers; }
    const evidence& seen() const noexcept override { return x_.call_->answer.seen; }
    std::optional<std::uint64_t> length() const noexcept override { return x_.call_->length; }

    asio::awaitable<std::size_t> read_some(asio::mutable_buffer to, std::source_location) override
    {
        const auto most = std::min(to.size(), most_at_once);
        const auto step = [c = x_.call_, most](blocking& b) {
            std::string part(most, '\0');
            part.resize(b.wait((*b)->read_some(*c, asio::buffer(part))));
            return part;
        };
        const auto part = co_await x_.lease.run(step);
        std::memcpy(to.data(), part.data(), part.size());
        co_return part.size();
    }

    // Reading the rest would take a step of its own.
    void drain() override
    {
        if (!x_.call_->done)
            x_.lease.discard();
    }

private:
    static constexpr std::size_t most_at_once = 256 * 1024;

    on_worker x_;
};

template <class State>
class on_worker<State>::writer final : public body_writer {
public:
    explicit writer(on_worker& x) : x_(x) {}

    asio::awaitable<bool> write(std::string_view bytes, std::source_location) override
    {
        const auto step = [c = x_.call_, part = std::string(bytes)](blocking& b) {
            return b.wait((*b)->write_part(*c, part));
        };
        require_unbroken(*x_.call_);
        x_.call_->writing = true;
        const bool more = co_await x_.lease.run(step);
        x_.call_->writing = false;
        co_return more;
    }

private:
    on_worker& x_;
};

template <class State>
asio::awaitable<void> on_worker<State>::upload()
{
    const auto begin = [c = call_](blocking& b) { (*b)->begin(*c); };
    co_await lease.run(begin);
    writer to(*this);
    try {
        co_await within_total<typename State::timer_type>(*call_, call_->asked.body.make()(to));
    } catch (const error&) {
        throw;
    } catch (...) {
        call_->failed = false; // it is not the connection's fault
        throw;
    }
    require_unbroken(*call_);
    call_->writing = true; // a write that comes later is refused
    const auto finish = [c = call_, trailers = to.trailers](blocking& b) {
        b.wait((*b)->end_body(*c, trailers));
        b.wait((*b)->receive(*c));
    };
    co_await lease.run(finish);
}

} // namespace loopsafe::http::detail

#endif
