// SPDX-License-Identifier: BSL-1.0
#define DOCTEST_CONFIG_IMPLEMENT
#include "suite.hpp"

#include <doctest/doctest.h>

int run_suite_here(const char* files, const char* but_not)
{
    doctest::Context suite;
    suite.addFilter("source-file", files);
    suite.addFilter("source-file-exclude", but_not);
    return suite.run();
}
