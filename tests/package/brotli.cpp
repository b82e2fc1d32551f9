// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/http/layers/brotli.hpp>

#include <cstdio>

int main()
{
    const bool made = loopsafe::http::brotli.make() != nullptr;
    std::puts("loopsafe::brotli");
    return made ? 0 : 1;
}
