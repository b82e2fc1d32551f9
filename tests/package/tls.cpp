// SPDX-License-Identifier: BSL-1.0
#include <loopsafe.hpp>
#include <loopsafe/tls.hpp>

#include <cstdio>

int main()
{
    loopsafe::connection_pool<loopsafe::tls_connector, loopsafe::null_pool> pool(
        loopsafe::tls_connector("localhost", "https"));
    std::puts("loopsafe::tls");
    pool.close();
}
