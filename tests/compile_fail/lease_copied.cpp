// SPDX-License-Identifier: BSL-1.0
// A lease has one owner.
// expect: (use of deleted function|call to deleted constructor) .*lease
// expect: a lease has one owner: std::move it
#include "connectors.hpp"

using lease = loopsafe::lease<complete>;

#ifdef LOOPSAFE_TEST_CURE
lease pass_on(lease& from)
{
    return std::move(from);
}
#else
lease pass_on(lease& from)
{
    return from;
}
#endif
