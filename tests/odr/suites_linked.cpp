// SPDX-License-Identifier: BSL-1.0
// A program linked to a shared library that hides its symbols, each with the tests and a copy of
// loopsafe. The library uses what is Asio's in the program.
#include "suite.hpp"

int main()
{
    return run_suites(run_suite_of_library, run_suite_here) ? 0 : 1;
}
