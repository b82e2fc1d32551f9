// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_DESCRIPTORS_HPP
#define LOOPSAFE_TESTS_SUPPORT_DESCRIPTORS_HPP

#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <sys/resource.h>
#include <unistd.h>

inline std::ptrdiff_t open_descriptors()
{
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

/// With UBSan, which opens a pipe when it sees a type for the first time, and takes the type for a
/// wrong one where it cannot.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool types_need_descriptors = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool types_need_descriptors = true;
#else
inline constexpr bool types_need_descriptors = false;
#endif
#else
inline constexpr bool types_need_descriptors = false;
#endif

/// No further descriptors for as long as it lives.
class descriptors_exhausted {
public:
    descriptors_exhausted()
    {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        const int next = ::dup(0);
        ::close(next);
        const ::rlimit none{static_cast<::rlim_t>(next), before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    }
    descriptors_exhausted(const descriptors_exhausted&) = delete;
    ~descriptors_exhausted() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    ::rlimit before_{};
};

#endif
