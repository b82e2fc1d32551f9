// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HPP
#define LOOPSAFE_HPP

// Floors 0 to 4 and 6. Connectors for TCP and PostgreSQL are included by name.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/context_bound.hpp>
#include <loopsafe/context_local.hpp>
#include <loopsafe/offloaded_connection_pool.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/thread_offload.hpp>

#endif
