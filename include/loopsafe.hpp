// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HPP
#define LOOPSAFE_HPP

// The rooms context, pool, offload and run. What links to a library, TCP too, is included by name.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/context.hpp>
#include <loopsafe/context_bound.hpp>
#include <loopsafe/context_local.hpp>
#include <loopsafe/lifespan.hpp>
#include <loopsafe/offloaded_connection_pool.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/scopes.hpp>
#include <loopsafe/thread_offload.hpp>

#endif
