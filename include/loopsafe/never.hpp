// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_NEVER_HPP
#define LOOPSAFE_NEVER_HPP

#include <chrono>

namespace loopsafe {

/// The limit that is none, wherever a time is asked for.
inline constexpr std::chrono::milliseconds never = std::chrono::milliseconds::max();

} // namespace loopsafe

#endif
