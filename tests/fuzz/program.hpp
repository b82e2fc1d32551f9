// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_PROGRAM_HPP
#define LOOPSAFE_TESTS_FUZZ_PROGRAM_HPP

#include "require.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

/// The bytes of libFuzzer, read one by one; what comes behind their end is 0.
///
/// With LOOPSAFE_FUZZ_TELL in the environment a program tells its steps as it does them, a line
/// each; what a hook or the end of an object does is indented.
class program {
public:
    program(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

    bool more() const { return at_ != end_; }
    unsigned next() { return more() ? *at_++ : 0; }
    unsigned below(unsigned most) { return next() % most; }

    template <class... Parts>
    void tell(const Parts&... parts) const
    {
        static const bool wanted = std::getenv("LOOPSAFE_FUZZ_TELL") != nullptr;
        if (wanted)
            ((std::cerr << std::string(std::size_t(depth_) * 4, ' ')) << ... << parts) << std::endl;
    }

    int depth() const { return depth_; }

    /// While it lives, steps are done inside another one.
    class inner {
    public:
        explicit inner(program& steps) : steps_(steps) { ++steps_.depth_; }
        inner(const inner&) = delete;
        ~inner() { --steps_.depth_; }

    private:
        program& steps_;
    };

private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
    int depth_ = 0;
};

#endif
