// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_BOUND_FACE_HPP
#define LOOPSAFE_CONTEXT_BOUND_FACE_HPP

/// A timer, socket or strand that may outlive its context.
///
///     std::optional<loopsafe::context_bound<asio::steady_timer>> timer; // kept anywhere
///
///     timer.emplace(io, io);                           // its home, and what a timer takes
///     timer->get(io.get_executor()).expires_after(1s); // refused from another context
///
/// When the context dies, the value dies with it, in the right order.
#include <loopsafe/context/bound.hpp>

#endif
