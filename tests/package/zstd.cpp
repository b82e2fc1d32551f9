// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/http/layers/zstd.hpp>

#include <cstdio>

int main()
{
    const bool made = loopsafe::http::zstd.make() != nullptr;
    std::puts("loopsafe::zstd");
    return made ? 0 : 1;
}
