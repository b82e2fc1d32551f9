// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/http.hpp>

#include <cstdio>

int main()
{
    loopsafe::http::basic_client<loopsafe::null_pool> client;
#if defined(LOOPSAFE_SEPARATE_COMPILATION)
    std::puts("loopsafe::http_compiled");
#else
    std::puts("loopsafe::http");
#endif
    client.close();
}
