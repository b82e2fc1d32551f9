// SPDX-License-Identifier: BSL-1.0
// A pool with a home cannot be made where there is no context.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass.an.io_context.first,?.or.choose.null_pool
#include "connectors.hpp"

#ifdef LOOPSAFE_TEST_CURE
loopsafe::connection_pool<complete, loopsafe::null_pool> pool{complete{}};
#else
loopsafe::connection_pool<complete> pool{complete{}};
#endif
