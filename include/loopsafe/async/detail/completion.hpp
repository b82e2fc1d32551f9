// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_COMPLETION_HPP
#define LOOPSAFE_ASYNC_DETAIL_COMPLETION_HPP

#include <loopsafe/async/detail/asking.hpp>
#include <loopsafe/context/ref.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>

#include <exception>
#include <new>
#include <type_traits>
#include <utility>

// Completes an operation, with any completion token, on the executor of its handler.
namespace loopsafe::detail {

inline error_code code_of(const std::exception_ptr& error) noexcept
{
    if (error == nullptr)
        return {};
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
        return e.code();
    } catch (const std::bad_alloc&) {
        return boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
    } catch (...) {
        return asio::error::connection_aborted;
    }
}

// Like asio::post(), without its wrappers.
template <class Executor, class Handler, class... Args>
void post_to(const Executor& executor, Handler&& handler, Args&&... args)
{
    static_assert(asio::execution::is_executor<Executor>::value,
                  "an executor of the Networking TS does not name its context: bind the handler to "
                  "asio::make_strand(context) instead of io_context::strand");
    asio::prefer(asio::require(executor, asio::execution::blocking.never),
                 asio::execution::relationship.fork,
                 asio::execution::allocator(asio::get_associated_allocator(handler)))
        .execute(
            [h = std::forward<Handler>(handler), ... result = std::forward<Args>(args)]() mutable {
                std::move(h)(std::move(result)...);
            });
}

struct nowhere {};

template <class Handler>
constexpr bool has_own_executor =
    !std::is_same_v<asio::associated_executor_t<std::decay_t<Handler>, nowhere>, nowhere>;

// Posts the handler to its own executor, else to the context of the operation.
template <class Handler, class... Args>
void post_result(Handler&& handler, const asio::any_io_executor& asking, Args&&... args)
{
    if constexpr (has_own_executor<Handler>) {
        if (!has_empty_executor(handler)) {
            const auto own = asio::get_associated_executor(handler);
            post_to(own, std::forward<Handler>(handler), std::forward<Args>(args)...);
            return;
        }
    }
    post_to(asking ? asking : asio::any_io_executor(asio::system_executor()),
            std::forward<Handler>(handler), std::forward<Args>(args)...);
}

// Cancels a coroutine of co_spawn: Asio passes the cancellation on through the executor. The
// caller's signal may outlive the coroutine's context.
class signal_into {
public:
    explicit signal_into(context_ref context) noexcept : context_(std::move(context)) {}

    asio::cancellation_slot slot() noexcept { return inner_.slot(); }

protected:
    void emit(asio::cancellation_type type)
    {
        if (context_.alive())
            inner_.emit(type);
    }

private:
    context_ref context_;
    asio::cancellation_signal inner_;
};

// Until a coroutine begins, its filter only lets terminal cancellation through.
struct terminal_cancellation : signal_into {
    using signal_into::signal_into;

    void operator()(asio::cancellation_type type)
    {
        if (type != asio::cancellation_type::none)
            emit(asio::cancellation_type::terminal);
    }
};

// Runs a coroutine for a completion handler; `told` turns an error into its first argument.
template <class Cancellation = terminal_cancellation, class T, class Told, class Handler>
void spawn_for(const asio::any_io_executor& asking, asio::awaitable<T> operation, Told told,
               Handler&& handler)
{
    auto outer = asio::get_associated_cancellation_slot(handler);
    asio::cancellation_slot slot;
    if (outer.is_connected())
        slot = outer.template emplace<Cancellation>(context_of(asking)).slot();
    auto complete = [h = std::forward<Handler>(handler), asking,
                     told](const std::exception_ptr& error, auto&&... result) mutable {
        auto first = told(error);
        const bool unusable = has_empty_executor(h);
        const auto executor = asio::get_associated_executor(h, asking);
        auto call =
            asio::append(std::move(h), std::move(first), std::forward<decltype(result)>(result)...);
        if (unusable)
            asio::dispatch(asio::bind_executor(asking, std::move(call)));
        else
            asio::dispatch(executor, std::move(call));
    };
    asio::co_spawn(asking, std::move(operation),
                   asio::bind_cancellation_slot(slot, std::move(complete)));
}

} // namespace loopsafe::detail

#endif
