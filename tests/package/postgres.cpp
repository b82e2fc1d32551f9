// SPDX-License-Identifier: BSL-1.0
#include <loopsafe.hpp>
#include <loopsafe/postgres.hpp>

#include <cstdio>

int main()
{
    loopsafe::connection_pool<loopsafe::postgres::connector, loopsafe::null_pool> pool(
        loopsafe::postgres::connector("host=127.0.0.1"));
    std::puts("loopsafe::postgres");
    pool.close();
}
