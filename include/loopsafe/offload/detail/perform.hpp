// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_PERFORM_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_PERFORM_HPP

#include <loopsafe/async/detail/is_awaitable.hpp>
#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/context/residents.hpp>
#include <loopsafe/offload/detail/call.hpp>
#include <loopsafe/offload/offloadable.hpp>
#include <loopsafe/offload/options.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <tuple>
#include <utility>

// Binds a function to its arguments, submits it to worker threads, waits, and cancels.
namespace loopsafe::detail {

template <class T>
T&& unwrap(T& stored) noexcept
{
    return std::move(stored);
}
template <class T>
T&& unwrap(borrowed<T>& stored) noexcept
{
    return std::move(stored.value);
}

// A function and its arguments, for one call.
template <class F, class... Args>
struct bound_function {
    F function;
    std::tuple<Args...> arguments;

    template <class... Token>
        requires std::invocable<F, Token..., passed_t<Args>...>
    auto operator()(Token... token) -> std::invoke_result_t<F, Token..., passed_t<Args>...>
    {
        return std::apply(
            [&](Args&... each) -> std::invoke_result_t<F, Token..., passed_t<Args>...> {
                return std::invoke(std::move(function), std::move(token)..., unwrap(each)...);
            },
            arguments);
    }
};

template <class F, class... Args>
auto make_call(F&& fn, Args&&... args)
{
    using result = offload_result_t<F, Args...>;
    static_assert((!only_refers<std::decay_t<Args>> && ...),
                  "an argument only refers to something that may be gone before the function ends: "
                  "pass a value, such as a std::string or a std::vector, or use loopsafe::borrowed "
                  "to guarantee that it lives long enough");
    static_assert(!only_refers<result>,
                  "the result only refers to something on the worker's thread: return a value, "
                  "such as a std::string or a std::vector");
    static_assert(!is_awaitable<result>,
                  "offload runs a function that blocks, and this one is a coroutine: co_await it, "
                  "or co_spawn it");
    using bound = bound_function<std::decay_t<F>, std::decay_t<Args>...>;
    return typed_call<bound, takes_stop_token<F, Args...>>::make(
        bound{std::forward<F>(fn), {std::forward<Args>(args)...}});
}

// The threads themselves, which outlive the object that names them.
using worker_ref = counted_ref<worker_core>;

inline worker_ref workers_of(worker_threads* named) noexcept
{
    return worker_ref(worker_access::core(named != nullptr ? *named : worker_threads::shared()));
}

// The effect of a cancellation. It may outlive the caller, as the signal may.
struct offload_cancellation {
    counted_ref<offloaded_call> call;
    worker_ref core;
    on_cancel cancelled;

    void operator()(asio::cancellation_type type)
    {
        if (type == asio::cancellation_type::none)
            return;
        if (core->withdraw(*call)) {
            call->drop_function();
            call->give_up();
            call->drop_reference();
            return;
        }
        const auto more_than_total =
            asio::cancellation_type::terminal | asio::cancellation_type::partial;
        if ((type & more_than_total) == asio::cancellation_type::none)
            return;
        if (cancelled == on_cancel::abandon)
            call->give_up();
        call->request_stop();
    }
};

// The caller leaves: it has the result, has given up, or is being destroyed.
struct offload_ending {
    offloaded_call& call;
    worker_core& core;
    bool submitted = false;

    ~offload_ending()
    {
        if (!submitted) {
            call.drop_function(); // whatever can still cancel the call keeps it, not its captures
        } else if (core.withdraw(call)) {
            call.drop_function();
            call.drop_reference();
        } else if (call.settled()) {
            call.drop_function(); // if it was refused
        } else if (core.is_of_this_process(call)) {
            call.request_stop();
        }
        call.leave();
    }
};

template <class Call>
asio::awaitable<typename Call::result_type> perform(counted_ref<Call> call, worker_ref core,
                                                    on_cancel cancelled)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto home = context_of(executor);
    if (!home)
        throw context_error(refusal({}, executor, "offload", "call", {},
                                    "make the call on an io_context or a thread_pool"));
    if (core->runs_inline()) {
        if (core->enter_inline(*call)) {
            call->run();
            core->leave_inline(*call);
        }
        co_return call->take(*core);
    }
    residents::of(executor);
    asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
    call->waits_on(timer, home);
    const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
    auto slot = cancellation.slot();
    if (slot.is_connected())
        slot.template emplace<offload_cancellation>(counted_ref<offloaded_call>(*call), core,
                                                    cancelled);
    offload_ending at_the_end{*call, *core};
    const auto begin = [&](auto handler) {
        const auto keep_call = call; // the caller may have ended meanwhile, on another thread
        const auto keep_core = core;
        at_the_end.submitted = true;
        try {
            timer.async_wait(
                asio::bind_cancellation_slot(asio::cancellation_slot(), std::move(handler)));
        } catch (...) { // then nothing can have ended the caller
            at_the_end.submitted = false;
            throw;
        }
        keep_core->submit(*keep_call);
    };
    co_await asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>,
                                  void(error_code)>(begin, asio::as_tuple(asio::use_awaitable));
    slot.clear();
    if (!call->settled())
        throw boost::system::system_error(asio::error::operation_aborted, "offload");
    co_return call->take(*core);
}

template <class F, class... Args>
asio::awaitable<offload_result_t<F, Args...>> offload_to(worker_ref workers, on_cancel cancelled,
                                                         F&& fn, Args&&... args)
{
    return perform(make_call(std::forward<F>(fn), std::forward<Args>(args)...), std::move(workers),
                   cancelled);
}

} // namespace loopsafe::detail

#endif
