// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_IMPL_OFFLOAD_HPP
#define LOOPSAFE_OFFLOAD_IMPL_OFFLOAD_HPP

#include <loopsafe/async/detail/completion.hpp>
#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/offload/detail/perform.hpp>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace loopsafe {
namespace detail {

template <class F, class... Args>
constexpr void refuse_what_the_compiler_destroys_twice()
{
    static_assert(safe_as_temporary<F>,
                  "GCC 12 would destroy the captures of this function twice: give the lambda a "
                  "name first and pass that, or pass the captures as arguments of offload");
    static_assert(((safe_as_temporary<Args> || !std::is_aggregate_v<Args>) && ...),
                  "GCC 12 would destroy this argument twice: give it a name first and pass that");
}

template <class Token>
inline constexpr bool is_awaited = std::is_same_v<Token, asio::deferred_t>;
template <class Executor>
inline constexpr bool is_awaited<asio::use_awaitable_t<Executor>> = true;

template <class Call>
asio::awaitable<typename Call::result_type>
perform_for_handler(counted_ref<Call> call, worker_ref core, on_cancel cancelled)
{
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    co_return co_await perform(std::move(call), std::move(core), cancelled);
}

// Total is passed on as it is; before the coroutine begins, its filter then ignores it.
struct offload_cancellation_type : signal_into {
    using signal_into::signal_into;

    void operator()(asio::cancellation_type type)
    {
        emit(type == asio::cancellation_type::partial ? asio::cancellation_type::terminal : type);
    }
};

template <bool Given>
struct initiate_offload {
    template <class Handler, class F>
    void operator()(Handler&& handler, asio::any_io_executor asking, F&& fn,
                    offload_options what) const
    {
        static_assert(Given || !never_names_a_context<handler_executor<Handler>>,
                      "this completion token names no context: use async_offload(executor, fn, "
                      "token)");
        if constexpr (!Given)
            asking = executor_of(handler);
        if (!asking)
            asking = asio::system_executor();
        spawn_for<offload_cancellation_type>(
            asking,
            perform_for_handler(make_call(std::forward<F>(fn)), workers_of(what.workers),
                                what.cancelled),
            [](const std::exception_ptr& error) { return error; }, std::forward<Handler>(handler));
    }
};

} // namespace detail

template <class F, class... Args>
    requires offloadable<F, Args...>
boost::asio::awaitable<detail::offload_result_t<F, Args...>> offload(F&& fn, Args&&... args)
{
    return offload(offload_options(), std::forward<F>(fn), std::forward<Args>(args)...);
}

template <class F, class... Args>
    requires offloadable<F, Args...>
boost::asio::awaitable<detail::offload_result_t<F, Args...>> offload(offload_options what, F&& fn,
                                                                     Args&&... args)
{
    detail::refuse_what_the_compiler_destroys_twice<F, Args...>();
    return detail::offload_to(detail::workers_of(what.workers), what.cancelled, std::forward<F>(fn),
                              std::forward<Args>(args)...);
}

template <offloadable F, boost::asio::completion_token_for<detail::offload_signature_t<F>> Token>
auto async_offload(F&& fn, Token&& token, offload_options what)
{
    if constexpr (detail::is_awaited<std::decay_t<Token>>)
        detail::refuse_what_the_compiler_destroys_twice<F>();
    return boost::asio::async_initiate<Token, detail::offload_signature_t<F>>(
        detail::initiate_offload<false>(), token, boost::asio::any_io_executor(),
        std::forward<F>(fn), what);
}

template <std::convertible_to<boost::asio::any_io_executor> Executor, offloadable F,
          boost::asio::completion_token_for<detail::offload_signature_t<F>> Token>
auto async_offload(const Executor& executor, F&& fn, Token&& token, offload_options what)
{
    if constexpr (detail::is_awaited<std::decay_t<Token>>)
        detail::refuse_what_the_compiler_destroys_twice<F>();
    return boost::asio::async_initiate<Token, detail::offload_signature_t<F>>(
        detail::initiate_offload<true>(), token, boost::asio::any_io_executor(executor),
        std::forward<F>(fn), what);
}

} // namespace loopsafe

#endif
