// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_NEVER_HPP
#define LOOPSAFE_NEVER_HPP

#include <chrono>

namespace loopsafe {

/// No limit, for any option or argument that is a time.
inline constexpr std::chrono::milliseconds never = std::chrono::milliseconds::max();

} // namespace loopsafe

#endif
