// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_PROGRAM_HPP
#define LOOPSAFE_TESTS_FUZZ_PROGRAM_HPP

#include <cstddef>
#include <cstdint>

/// The bytes of libFuzzer, read one by one; what comes behind their end is 0.
class program {
public:
    program(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

    bool more() const { return at_ != end_; }
    unsigned next() { return more() ? *at_++ : 0; }
    unsigned below(unsigned most) { return next() % most; }

private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

#endif
