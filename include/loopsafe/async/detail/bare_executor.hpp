// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_BARE_EXECUTOR_HPP
#define LOOPSAFE_ASYNC_DETAIL_BARE_EXECUTOR_HPP

#include <loopsafe/async/detail/serial_executor.hpp>
#include <loopsafe/context/detail/inheriting_executor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/strand.hpp>

namespace loopsafe::detail {

// What coroutines on this executor inherit, also through a strand.
inline inherited_ref inherited_from(const asio::any_io_executor& executor)
{
    inherited_ref found;
    if (use_inheriting(executor, [&](const auto& in) { found = in.what(); }))
        return found;
    if (const auto* strand = executor.target<asio::strand<asio::any_io_executor>>())
        return inherited_from(strand->get_inner_executor());
    if (const auto* gated = executor.target<serial_executor>())
        return inherited_from(gated->gate()->inner());
    return found;
}

// Without gate and inheritance, for what outlives the coroutine that passes through them.
inline asio::any_io_executor bare(const asio::any_io_executor& executor)
{
    const auto* const gated = executor.target<serial_executor>();
    return without_inheritance(gated != nullptr ? gated->gate()->inner() : executor);
}

} // namespace loopsafe::detail

#endif
