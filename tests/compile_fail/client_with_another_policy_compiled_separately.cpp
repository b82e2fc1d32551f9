// SPDX-License-Identifier: BSL-1.0
// expect: only the library's own policies are compiled separately
// expect: include <loopsafe/http/definitions\.hpp>
#define LOOPSAFE_SEPARATE_COMPILATION
#include <loopsafe/http.hpp>

#ifdef LOOPSAFE_TEST_CURE
#include <loopsafe/http/definitions.hpp>
#endif

using own_client = loopsafe::http::basic_client<loopsafe::basic_null_pool<loopsafe::no_mutex>>;

own_client client;
