// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_REQUIRE_HPP
#define LOOPSAFE_TESTS_FUZZ_REQUIRE_HPP

#include <cstdio>
#include <cstdlib>

/// Ends the process where something does not hold, so that libFuzzer keeps the bytes.
inline void require(bool holds, const char* rule = "the rule at the top of the trace")
{
    if (holds)
        return;
    std::fprintf(stderr, "violated: %s\n", rule);
    std::abort();
}

#endif
