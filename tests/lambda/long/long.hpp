// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LAMBDA_LONG_LONG_HPP
#define LOOPSAFE_TESTS_LAMBDA_LONG_LONG_HPP

#include <cstdio>
#include <string>

/// What runs for minutes, with counts that have limits.
namespace lambda_long {

struct programs {
    std::string function; ///< programs/function.cpp
    std::string backends; ///< programs/backends.cpp
};

struct tally {
    int passed = 0;
    int failed = 0;

    void check(bool good, const std::string& what)
    {
        ++(good ? passed : failed);
        std::printf("%s %s\n", good ? "     " : "WRONG", what.c_str());
        std::fflush(stdout);
    }
};

void at_once(const programs& what, tally& all);
void freezes(const programs& what, tally& all);
void ends(const programs& what, tally& all);

} // namespace lambda_long

#endif
