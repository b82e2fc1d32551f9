// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HPP
#define LOOPSAFE_HPP

// Floors 0 to 4 and 6. Connectors for TCP and PostgreSQL are included by name.
#include <loopsafe/pool/connection_pool.hpp>
#include <loopsafe/context/bound.hpp>
#include <loopsafe/context/local.hpp>
#include <loopsafe/offload/connection_pool.hpp>
#include <loopsafe/run/runner.hpp>
#include <loopsafe/offload/offload.hpp>

#endif
