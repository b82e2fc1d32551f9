// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_COMPLETION_HPP
#define LOOPSAFE_ASYNC_DETAIL_COMPLETION_HPP

#include <loopsafe/async/detail/asking.hpp>
#include <loopsafe/async/detail/cancellable.hpp>
#include <loopsafe/context/bound.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>

#include <exception>
#include <memory>
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

// Cancels a coroutine of co_spawn, on its executor. The caller's signal, which holds this, may
// outlive the operation and its context, so executor and inner signal end with the context at the
// latest.
class signal_into {
public:
    explicit signal_into(const asio::any_io_executor& executor) : target_(executor, executor) {}

    const std::shared_ptr<cancellable>& operation() const noexcept
    {
        return value_if_alive(target_)->cancels;
    }

protected:
    void emit(asio::cancellation_type type)
    {
        auto* const alive = value_if_alive(target_);
        if (alive == nullptr)
            return;
        // A copy, since what is cancelled may destroy the caller's signal.
        asio::dispatch(alive->executor, [cancels = alive->cancels, type] { cancels->emit(type); });
    }

private:
    struct target {
        explicit target(const asio::any_io_executor& on) : executor(untracked(on)) {}

        asio::any_io_executor executor;
        std::shared_ptr<cancellable> cancels = std::make_shared<cancellable>();
    };

    context_bound<target> target_;
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

// A completion handler of co_spawn. It keeps the signal, since the coroutine clears its slot at
// every step, and it names no executor, since Asio would keep that in the slot.
template <class Complete>
struct cancelled_by {
    using cancellation_slot_type = asio::cancellation_slot;

    cancellation_slot_type get_cancellation_slot() const noexcept
    {
        return cancels != nullptr ? cancels->slot() : cancellation_slot_type();
    }

    template <class... Result>
    void operator()(Result&&... result)
    {
        std::move(complete)(std::forward<Result>(result)...);
    }

    Complete complete;
    std::shared_ptr<cancellable> cancels;
};

// Runs a coroutine for a completion handler; `told` turns an error into its first argument.
template <class Cancellation = terminal_cancellation, class T, class Told, class Handler>
void spawn_for(const asio::any_io_executor& asking, asio::awaitable<T> operation, Told told,
               Handler&& handler)
{
    auto outer = asio::get_associated_cancellation_slot(handler);
    std::shared_ptr<cancellable> cancels;
    if (outer.is_connected() && context_of(asking).alive()) {
        cancels = outer.template emplace<Cancellation>(asking).operation();
        operation = run_cancellable(std::move(operation), *cancels);
    }
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
                   cancelled_by<decltype(complete)>{std::move(complete), std::move(cancels)});
}

} // namespace loopsafe::detail

#endif
