// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_EXECUTION_HPP
#define LOOPSAFE_POOL_EXECUTION_HPP

#include <loopsafe/fwd.hpp>

#include <concepts>

namespace loopsafe {

/// Calls on a connection run in the context of their caller. The default.
struct on_context {};

/// Where calls on a connection run: `on_context`, or `thread_offload` (on worker threads).
template <class E>
concept execution_policy = std::same_as<E, on_context> || std::same_as<E, thread_offload>;

} // namespace loopsafe

#endif
