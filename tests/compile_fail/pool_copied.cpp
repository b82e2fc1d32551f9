// SPDX-License-Identifier: BSL-1.0
// A pool has one owner.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass a reference to it, or std::move it
#include "connectors.hpp"

using pool = loopsafe::connection_pool<complete>;

#ifdef LOOPSAFE_TEST_CURE
void use(pool& from);
#else
void use(pool from);
#endif

void pass_on(pool& from)
{
    use(from);
}
