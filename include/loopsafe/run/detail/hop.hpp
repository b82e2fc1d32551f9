// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_HOP_HPP
#define LOOPSAFE_RUN_DETAIL_HOP_HPP

#include <loopsafe/run/detail/hop_call.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

// A function that runs on another context, and its caller.
namespace loopsafe::detail {

// The effect of a cancellation. It may outlive the caller, as the signal may.
template <class Call>
struct hop_cancellation {
    counted_ref<Call> call;

    void operator()(asio::cancellation_type type)
    {
        if (type == asio::cancellation_type::none)
            return;
        if (call->withdraw()) {
            call->drop_function();
            call->give_up();
        } else {
            call->request_stop();
        }
    }
};

// The caller leaves: it has the result, has given up, or is being destroyed.
template <class Call>
struct hop_ending {
    Call& call;
    bool sent = false;

    ~hop_ending()
    {
        if (!sent || call.withdraw())
            call.drop_function();
        else if (!call.settled())
            call.request_stop();
        call.leave();
    }
};

template <class Call>
asio::awaitable<typename Call::result_type>
await_hop(counted_ref<Call> call, asio::any_io_executor executor, hop_origin origin)
{
    residents::of(executor);
    asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
    call->waits_on(timer, context_of(executor));
    const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
    auto slot = cancellation.slot();
    if (slot.is_connected())
        slot.template emplace<hop_cancellation<Call>>(call);
    hop_ending<Call> at_the_end{*call};
    const auto begin = [&](auto handler) {
        const auto keep_call = call; // the caller may have ended meanwhile, on another thread
        at_the_end.sent = true;
        try {
            timer.async_wait(
                asio::bind_cancellation_slot(asio::cancellation_slot(), std::move(handler)));
        } catch (...) { // then nothing can have ended the caller
            at_the_end.sent = false;
            throw;
        }
        keep_call->send();
    };
    co_await asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>,
                                  void(error_code)>(begin, asio::as_tuple(asio::use_awaitable));
    slot.clear();
    if (!call->settled())
        throw boost::system::system_error(asio::error::operation_aborted, origin.operation);
    co_return call->take(executor, origin);
}

// No coroutine, so that the frame of hop() stays small: Asio does not recycle a large one.
template <class Bound>
asio::awaitable<typename hop_call<Bound>::result_type>
begin_hop(way_home to, Bound& bound, const asio::any_io_executor& executor,
          const hop_origin& origin)
{
    const bool may_ask = named_context(executor) != nullptr;
    if (!to.home() || !may_ask) {
        auto report = refusal(to.home(), executor, origin.operation, "call", origin.where,
                              may_ask ? "pass an io_context, a thread_pool, or an executor of one"
                                      : "make the call in a coroutine of an io_context or of a "
                                        "thread_pool, which can be come back to");
        report.code = errc::no_context;
        throw context_error(std::move(report));
    }
    return await_hop(hop_call<Bound>::make(std::move(to), std::move(bound)), executor, origin);
}

// Directly where the caller is at home, or where there is none. To: a way_home, or a context_ref,
// of which every executor will do.
template <class To, class Bound>
asio::awaitable<typename hop_call<Bound>::result_type> hop(To to, bool anywhere, hop_origin origin,
                                                           Bound bound)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    if (anywhere || is_here(to, executor)) {
        if constexpr (is_awaitable<std::invoke_result_t<Bound&>>)
            co_return co_await bound();
        else
            co_return bound();
    }
    auto away = begin_hop<Bound>(way_home(std::move(to)), bound, executor, origin);
    co_return co_await std::move(away);
}

} // namespace loopsafe::detail

#endif
