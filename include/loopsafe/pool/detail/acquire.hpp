// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_ACQUIRE_HPP
#define LOOPSAFE_POOL_DETAIL_ACQUIRE_HPP

#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/async/detail/deadline.hpp>
#include <loopsafe/pool/detail/reports.hpp>
#include <loopsafe/pool/detail/ticket.hpp>

namespace loopsafe::detail {

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::acquire(ticket t, asio::any_io_executor executor,
                                            std::optional<std::chrono::milliseconds> timeout,
                                            std::source_location where)
    -> asio::awaitable<lease_type>
{
    bool closed = false;
    {
        const both_locks lock(t.at());
        closed = core_.closed();
        t.accept(core_.try_acquire(t.at()));
    }
    if (closed)
        fail(errc::pool_closed, "acquire", where);
    if (!t.granted())
        co_await wait_for_turn(t, executor, timeout, where);
    co_await make_ready(t, executor, where);
    const both_locks lock(t.at());
    core_.leased(*t.connection_slot(), where);
    co_return loan(t.turn_into_lease());
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::wait_for_turn(ticket& t, asio::any_io_executor executor,
                                                  std::optional<std::chrono::milliseconds> timeout,
                                                  std::source_location where)
    -> asio::awaitable<void>
{
    const auto began = stopwatch();
    waiter w(t, executor);
    w.expires_after(timeout.value_or(options_.acquire_timeout));
    bool full = false;
    const auto begin = [&](auto handler) {
        const both_locks lock(t.at());
        t.accept(core_.try_acquire(t.at()));
        full = !t.granted() && !core_.closed() && core_.queue_is_full(t.at());
        const bool queue = !t.granted() && !core_.closed() && !full;
        if (!queue)
            w.expire_now();
        begin_wait(w.timer, std::move(handler));
        if (queue)
            core_.wait(w);
    };
    const auto [ec] =
        co_await asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>,
                                      void(error_code)>(begin, asio::as_tuple(asio::use_awaitable));
    bool closed = false;
    {
        const both_locks lock(t.at());
        if (!t.granted()) {
            t.accept(core_.consume(w));
            closed = core_.closed();
        }
        if (full)
            core_.count_queue_full();
        else if (!t.granted() && !closed && !ec)
            core_.count_acquire_timeout();
    }
    if (t.granted()) {
        emit({.what = pool_event::kind::waited, .pool = name_, .took = stopwatch() - began});
        co_return;
    }
    if (closed)
        fail(errc::pool_closed, "acquire", where);
    if (full)
        fail(errc::queue_full, "acquire", where);
    if (ec)
        throw boost::system::system_error(ec, "acquire");
    emit({.what = pool_event::kind::acquire_timed_out, .pool = name_, .took = stopwatch() - began});
    fail(errc::acquire_timeout, "acquire", where);
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::connect_into(slot& s, asio::any_io_executor executor,
                                                 std::source_location where)
    -> asio::awaitable<void>
{
    const auto home = untracked(bare(executor));
    if constexpr (can_connect_for<Connector>)
        s.connection.emplace(co_await connector_.connect(home, where));
    else
        s.connection.emplace(co_await connector_.connect(home));
    const auto born = read_clock(shelf_of(s));
    const lock_guard lock(mutex_);
    core_.connected(s, born, jitter(s, born));
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::make_ready(ticket& t, asio::any_io_executor executor,
                                               std::source_location where) -> asio::awaitable<void>
{
    using timer = typename clock::timer;
    const auto now = read_clock(t.at());
    close_expired(t.at(), now);
    bool probed = false;
    if constexpr (carries) {
        drop_expired(now);
        probed = t.connection_slot() == nullptr && adopt(t, executor);
    }
    if (t.connection_slot() == nullptr) {
        auto fresh = std::make_unique<slot>(t.at());
        const both_locks lock(t.at());
        core_.connecting(*fresh);
        t.accept(fresh.release());
    }
    slot& s = *t.connection_slot();
    if (s.connection) {
        pool_core::judgement found;
        {
            const lock_guard lock(mutex_);
            found = core_.judge(s, now);
        }
        if constexpr (can_ask_for_probe<Connector>) {
            if (found.what == pool_core::verdict::fresh && connector_.needs_probe(*s.connection))
                found.what = pool_core::verdict::probe;
        }
        if (found.what == pool_core::verdict::probe && !probed && !connector_.probe(*s.connection))
            found = {pool_core::verdict::close, close_reason::probe_failed};
        if constexpr (can_reset<Connector>) {
            const bool reset_at_once = found.what == pool_core::verdict::fresh
                                           ? needs_reset_now(*s.connection)
                                           : found.what == pool_core::verdict::probe &&
                                                 connector_.needs_reset(*s.connection);
            if (reset_at_once) {
                t.dirty();
                const auto reset = co_await finish_within<timer>(executor, options_.connect_timeout,
                                                                 connector_.reset(*s.connection));
                const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
                if (state.cancelled() != asio::cancellation_type::none)
                    throw boost::system::system_error(asio::error::operation_aborted, "acquire");
                if (reset.error != nullptr) // whatever it was, use a new connection
                    found = {pool_core::verdict::close, close_reason::reset_failed};
            }
        }
        if (found.what != pool_core::verdict::close)
            co_return;
        {
            const lock_guard lock(mutex_);
            sync_generation();
            core_.lost(s, found.why);
        }
        destroy_connection(s, found.why);
        tell_closed(found.why);
    }
    const auto began = stopwatch();
    const auto done = co_await finish_within<timer>(executor, options_.connect_timeout,
                                                    connect_into(s, executor, where));
    const auto took = stopwatch() - began;
    if (done.error == nullptr) {
        emit({.what = pool_event::kind::connected, .pool = name_, .took = took});
        co_return;
    }
    auto text = text_of(done.error); // of a late one: the stage at which the connector was stopped
    {
        const lock_guard lock(mutex_);
        core_.connect_failed();
        last_connect_error_.swap(text);
    }
    emit({.what = pool_event::kind::connect_failed,
          .pool = name_,
          .error = done.expired ? nullptr : done.error,
          .took = took});
    if (!done.expired)
        std::rethrow_exception(done.error);
    fail(errc::connect_timeout, "acquire", where);
}

template <class Connector, class Policy>
double pool_state<Connector, Policy>::jitter(const slot& s, const clock_reading& now) const noexcept
{
    if constexpr (requires { options_.lifetime_jitter; }) {
        // Two connections differ in one of these, even in two copies of a restored machine.
        const auto seed = reinterpret_cast<std::uintptr_t>(&s) ^
                          static_cast<std::uint64_t>((now.monotonic + now.wall).count());
        const auto mixed = (seed * 0x9e37'79b9'7f4a'7c15u) >> 32;
        return options_.lifetime_jitter * static_cast<double>(mixed) / 0x1p32;
    } else {
        return 0.0;
    }
}

template <class Connector, class Policy>
clock_reading pool_state<Connector, Policy>::read_clock(shelf& s) noexcept
{
    if (!core_.needs_clock())
        return {};
    const auto now = clock::read();
    const lock_guard lock(s.mutex);
    pool_core::note(s, now);
    return now;
}

} // namespace loopsafe::detail

#endif
