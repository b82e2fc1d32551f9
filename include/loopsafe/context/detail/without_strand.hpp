// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_DETAIL_WITHOUT_STRAND_HPP
#define LOOPSAFE_CONTEXT_DETAIL_WITHOUT_STRAND_HPP

#include <loopsafe/context/detail/inheriting_executor.hpp>

#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

namespace loopsafe::detail {

// For what serves the whole context: in a strand, it would wait for whatever runs there, and keep
// what that inherits. A strand of a type that is not known here stays one.
inline asio::any_io_executor without_strand(const asio::any_io_executor& executor)
{
    if (const auto* in = executor.target<asio::strand<loop_executor>>())
        return in->get_inner_executor();
    if (const auto* in = executor.target<asio::strand<asio::thread_pool::executor_type>>())
        return in->get_inner_executor();
    if (const auto* in = executor.target<asio::strand<asio::any_io_executor>>())
        return without_strand(in->get_inner_executor());
    return without_inheritance(executor);
}

// Whether it is the context's own.
inline bool is_plain(const asio::any_io_executor& executor) noexcept
{
    return executor.target<loop_executor>() != nullptr ||
           executor.target<asio::thread_pool::executor_type>() != nullptr;
}

} // namespace loopsafe::detail

#endif
