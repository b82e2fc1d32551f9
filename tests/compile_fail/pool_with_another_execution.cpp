// SPDX-License-Identifier: BSL-1.0
// There are two places where the calls on a connection can run.
// expect: the execution policy is loopsafe::on_context or loopsafe::thread_offload
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
using execution = loopsafe::on_context;
#else
struct execution {};
#endif

loopsafe::connection_pool<complete, loopsafe::null_pool, execution> pool{complete()};
