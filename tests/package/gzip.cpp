// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/http/layers/gzip.hpp>

#include <cstdio>

int main()
{
    const bool made = loopsafe::http::gzip.make() && loopsafe::http::deflate.make();
    std::puts("loopsafe::gzip");
    return made ? 0 : 1;
}
