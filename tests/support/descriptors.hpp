// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_DESCRIPTORS_HPP
#define LOOPSAFE_TESTS_SUPPORT_DESCRIPTORS_HPP

#include <cstddef>
#include <filesystem>
#include <iterator>

inline std::ptrdiff_t open_descriptors()
{
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

#endif
