// SPDX-License-Identifier: BSL-1.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

// Asked by the sanitizers when the program starts; the environment can still override.
extern "C" {
const char* __asan_default_options()
{
    return "detect_leaks=1:detect_stack_use_after_return=1:check_initialization_order=1:"
           "strict_init_order=1";
}

const char* __ubsan_default_options()
{
    return "print_stacktrace=1";
}

const char* __tsan_default_options()
{
    return "second_deadlock_stack=1";
}

// libstdc++ counts the owners of an exception in code that was not compiled for ThreadSanitizer.
const char* __tsan_default_suppressions()
{
    return "race:std::__exception_ptr::exception_ptr::_M_release";
}
}
