// SPDX-License-Identifier: BSL-1.0
// A client with a home cannot be made where there is no context.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass_an_io_context_first_or_choose_basic_client_with_null_pool
#include <loopsafe/http.hpp>

#ifdef LOOPSAFE_TEST_CURE
loopsafe::http::basic_client<loopsafe::null_pool> client;
#else
loopsafe::http::client client;
#endif
