// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_CALLGRIND_HPP
#define LOOPSAFE_TESTS_BENCH_CALLGRIND_HPP

#include "http_peers.hpp"

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <unistd.h>

namespace bench {

// The instructions that this program, started with these arguments, executes while it has callgrind
// collect.
inline double collected_by_callgrind(const std::string& arguments)
{
    const auto command =
        "valgrind --tool=callgrind --collect-atstart=no --callgrind-out-file=/dev/null /proc/" +
        std::to_string(::getpid()) + "/exe " + arguments + " 2>&1";
    std::FILE* const out = ::popen(command.c_str(), "r");
    double seen = -1;
    for (std::array<char, 512> line{}; std::fgets(line.data(), line.size(), out) != nullptr;) {
        constexpr std::string_view label = "Collected :";
        const std::string text(line.data());
        if (const auto at = text.find(label); at != std::string::npos)
            seen = std::stod(text.substr(at + label.size()));
    }
    require(::pclose(out) == 0 && seen > 0);
    return seen;
}

} // namespace bench

#endif
