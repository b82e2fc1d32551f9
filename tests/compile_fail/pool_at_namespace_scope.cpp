// SPDX-License-Identifier: BSL-1.0
// A pool with a home cannot be made where there is no context.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass_an_io_context_first_or_choose_null_pool_or_per_context_pool
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
loopsafe::connection_pool<complete, loopsafe::null_pool> pool{complete{}};
#else
loopsafe::connection_pool<complete> pool{complete{}};
#endif
