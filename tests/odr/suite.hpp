// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_ODR_SUITE_HPP
#define LOOPSAFE_TESTS_ODR_SUITE_HPP

/// Runs the test cases of these files that this library, or program, was linked with.
int run_suite_here(const char* files, const char* but_not);

using run_suite = int(const char* files, const char* but_not);

/// Those of the library. All else in it is hidden.
extern "C" __attribute__((visibility("default"))) run_suite run_suite_of_library;

/// First in one copy what wants a process that nothing has been done in, then another copy, then
/// all the rest: while the copies use each other's functions, which Asio makes visible.
inline bool run_suites(run_suite& one, run_suite& other)
{
    const auto* const fresh = "*/lifetimes/processes.cpp";
    bool well = one(fresh, "-") == 0;
    well &= other("*/unit/*", "-") == 0;
    well &= one("*", fresh) == 0;
    return well;
}

#endif
