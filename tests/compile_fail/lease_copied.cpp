// SPDX-License-Identifier: BSL-1.0
// A lease has one owner.
// expect: (deleted function|implicitly-deleted copy constructor) .*lease
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
