// SPDX-License-Identifier: BSL-1.0
// Header-only, in two translation units: both see one category and one number for one context.
#include "odr.hpp"

#include <cstdio>

int main()
{
    boost::asio::io_context context;
    const bool same = view_from_a(context) == view_from_b(context) && refusal_caught_in_b();
    std::printf("one library in two translation units: %s\n", same ? "yes" : "no");
    return same ? 0 : 1;
}
