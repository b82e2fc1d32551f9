// SPDX-License-Identifier: BSL-1.0
#include "suite.hpp"

int run_suite_of_library(const char* files, const char* but_not)
{
    return run_suite_here(files, but_not);
}
