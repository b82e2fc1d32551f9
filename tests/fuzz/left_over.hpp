// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_LEFT_OVER_HPP
#define LOOPSAFE_TESTS_FUZZ_LEFT_OVER_HPP

// What a program may not leave behind.

#include <fcntl.h>

/// Counts the coroutines that are alive.
class counted {
public:
    explicit counted(int& all) : all_(all) { ++all_; }
    counted(const counted&) = delete;
    ~counted() { --all_; }

private:
    int& all_;
};

/// How many of the first `most` descriptors are open.
inline int open_among(int most)
{
    int open = 0;
    for (int d = 0; d != most; ++d)
        open += ::fcntl(d, F_GETFD) != -1 ? 1 : 0;
    return open;
}

#endif
