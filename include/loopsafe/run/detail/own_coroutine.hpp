// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_OWN_COROUTINE_HPP
#define LOOPSAFE_RUN_DETAIL_OWN_COROUTINE_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>

#include <exception>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// Resumes who awaits a coroutine of its own, which hears of no cancellation but through this slot.
template <class Handler>
struct slotted_handler {
    using cancellation_slot_type = asio::cancellation_slot;

    cancellation_slot_type get_cancellation_slot() const noexcept { return slot; }

    void operator()(const std::exception_ptr& error) { std::move(resumes)(error); }

    Handler resumes;
    asio::cancellation_slot slot;
};

// To be awaited at once: rethrows what the operation throws. A frame less than with use_awaitable.
inline auto run_by_itself(const asio::any_io_executor& executor, asio::awaitable<void>& operation,
                          asio::cancellation_slot slot = {})
{
    return asio::async_initiate<const asio::deferred_t, void(std::exception_ptr)>(
        [slot](auto handler, const asio::any_io_executor* ex, asio::awaitable<void>* what) {
            asio::co_spawn(*ex, std::move(*what),
                           slotted_handler<decltype(handler)>{std::move(handler), slot});
        },
        asio::deferred, &executor, &operation);
}

} // namespace loopsafe::detail

#endif
