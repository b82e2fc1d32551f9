// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_CORE_HPP
#define LOOPSAFE_POOL_CORE_CORE_HPP

// The state machine of every pool, with its bodies. Nothing here or below includes Asio.
#include <loopsafe/pool/core/acquiring.hpp>
#include <loopsafe/pool/core/ending.hpp>
#include <loopsafe/pool/core/machine.hpp>
#include <loopsafe/pool/core/releasing.hpp>
#include <loopsafe/pool/core/warm.hpp>

#endif
