// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/http.hpp>

#include <cstdio>

int main()
{
    loopsafe::http::basic_client<loopsafe::null_pool> client;
    std::puts("loopsafe::http");
    client.close();
}
