// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_PERFORM_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_PERFORM_HPP

#include <loopsafe/http/detail/client/on_loop.hpp>
#include <loopsafe/http/detail/client/on_worker.hpp>
#include <loopsafe/http/detail/client/state.hpp>
#include <loopsafe/http/detail/client/within_total.hpp>
#include <loopsafe/http/incoming.hpp>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace loopsafe::http::detail {

template <class State>
using way_of = std::conditional_t<State::offloaded, on_worker<State>, on_loop<State>>;

// Whether a request whose connection broke may be sent once more (RFC 9110, 9.2.2). That depends on
// what was observed, not on the error code.
inline bool may_replay(const call& c) noexcept
{
    const auto& seen = c.answer.seen;
    const auto& asked = c.asked;
    if (!c.failed || !seen.reused || seen.replayed || seen.bytes_received != 0 ||
        asked.replay == replay::never || !asked.body.repeatable())
        return false;
    const auto& why = c.failure;
    if (why != condition::connection_lost && why != boost::asio::error::eof)
        return false; // a deadline, a cancellation, out of memory
    return seen.bytes_sent == 0 || asked.replay == replay::safe || is_idempotent(asked.method) ||
           asked.headers.contains("idempotency-key");
}

inline asio::awaitable<void> authorize(call& c)
{
    c.authorization = co_await c.settings->options->authorization(*c.origin);
    check_authorization(c.authorization);
}

template <class State>
asio::awaitable<void> permit(State& self, way_of<State>& x, std::source_location where)
{
    call& c = x.the_call();
    c.answer.seen.stage = stage::wait;
    x.permit = co_await self.permission(c, where);
}

template <class State>
asio::awaitable<void> acquire(State& self, typename State::server& at, way_of<State>& x,
                              std::source_location where)
{
    call& c = x.the_call();
    c.answer.seen.stage = stage::wait;
    c.sought = State::timer_type::clock_type::now().time_since_epoch();
    self.make_room(at);
    x.lease = co_await at.pool.acquire({.timeout = c.times->wait}, where);
}

// The result of a request: the whole response, or one whose body the caller reads.
template <class State, class Result>
class outcome;

template <class State>
class outcome<State, response> {
public:
    explicit outcome(request&& what) : x_(std::make_unique<way_of<State>>(std::move(what))) {}
    outcome(request&& what, const hop& of)
        : x_(std::make_unique<way_of<State>>(std::move(what), of))
    {
    }
    outcome(const char* method, std::string&& url, request_body&& body)
        : x_(std::make_unique<way_of<State>>(method, std::move(url), std::move(body)))
    {
    }

    way_of<State>& way() noexcept { return *x_; }
    response&& take(const asio::any_io_executor&) { return std::move(x_->the_call().answer); }

private:
    // Not in the frame: Asio does not keep one of more than 1020 bytes for the next call, and to
    // make room for it, drops one that it has kept.
    std::unique_ptr<way_of<State>> x_;
};

template <class State>
class outcome<State, std::unique_ptr<open_response>> {
    using incoming = typename way_of<State>::incoming;

public:
    outcome(request&& what, const hop& of)
        : incoming_(std::make_unique<incoming>(std::move(what), of))
    {
    }

    way_of<State>& way() noexcept { return incoming_->way(); }
    std::unique_ptr<open_response> take(const asio::any_io_executor& executor)
    {
        incoming_->settle(executor);
        return std::move(incoming_);
    }

private:
    std::unique_ptr<incoming> incoming_;
};

// Gets a connection, and the response on it.
template <class Result, class State>
asio::awaitable<Result> perform(std::shared_ptr<State> self, outcome<State, Result> wanted,
                                std::source_location where)
{
    auto made = std::move(wanted); // releases its connection when this ends
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    if (self == nullptr) // the client was moved from
        State::refuse_closed(where);
    self->require_home(executor, "send", where);
    auto& x = made.way();
    call& c = x.the_call();
    c.used = where;
    try {
        auto& at = self->prepare(c, executor, where);
        using timer = typename State::timer_type;
        if (c.is_watched())
            self->number(c);
        if (self->asks_for_authorization(c))
            co_await within_total<timer>(c, authorize(c));
        if (self->needs_permission())
            co_await within_total<timer>(c, permit(*self, x, where));
        for (;;) {
            c.sought = std::chrono::nanoseconds::max();
            x.lease = x.take_idle(at.pool, executor, where);
            if (!x.lease)
                co_await within_total<timer>(c, acquire(*self, at, x, where));
            // The wait may have succeeded in spite of a cancellation.
            if (is_cancelled(co_await asio::this_coro::cancellation_state)) {
                x.lease.release();
                throw boost::system::system_error(asio::error::operation_aborted);
            }
            std::exception_ptr failed;
            try {
                if constexpr (State::offloaded) {
                    co_await x.exchange();
                } else {
                    bool complete = false;
                    if (x.send_at_once()) { // inline: a frame would cost more than the work in it
                        auto [ec, nothing] = co_await x.turn();
                        if (is_cancelled(co_await asio::this_coro::cancellation_state))
                            ec = asio::error::operation_aborted; // a turn cannot be cancelled
                        complete = x.receive_at_once(ec);
                    }
                    if (!complete)
                        co_await x.finish();
                }
            } catch (...) {
                failed = std::current_exception();
            }
            if (failed == nullptr)
                co_return made.take(executor);
            x.lease.discard();
            if (std::exchange(c.stale, false))
                continue; // nothing was sent: this is no replay
            if (!may_replay(c))
                std::rethrow_exception(failed);
            at.pool.invalidate(); // the others of its age are likely stale; the next is a new one
            c.answer.seen.replayed = true;
            if (c.is_watched())
                c.tell({.what = event::kind::replayed, .origin = at.origin});
        }
    } catch (error& e) {
        e.add_place(where);
        throw;
    } catch (const boost::system::system_error& e) {
        if (e.code() != asio::error::operation_aborted)
            throw;
        throw failure_of(c, e.code());
    }
}

template <class State>
asio::awaitable<void> drain(std::shared_ptr<State> self, std::chrono::milliseconds limit,
                            std::source_location where)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    if (self == nullptr)
        co_return;
    self->require_home(executor, "async_close", where);
    self->close();
    using std::chrono::milliseconds;
    using timer = typename State::timer_type;
    const auto begun = timer::clock_type::now();
    const auto most = std::max(limit, milliseconds::zero());
    std::vector<std::shared_ptr<typename State::server>> all;
    self->servers().each([&all](const auto& each, auto) { all.push_back(each); });
    for (const auto& each : all) {
        const auto passed = std::chrono::floor<milliseconds>(timer::clock_type::now() - begun);
        const auto left = most == never ? never : std::max(most - passed, milliseconds::zero());
        co_await each->pool.drain(left, where);
    }
}

} // namespace loopsafe::http::detail

#endif
