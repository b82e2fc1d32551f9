// SPDX-License-Identifier: BSL-1.0
// A client without a home takes no executor, which would mean nothing to it.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass_no_io_context_since_this_client_has_no_home
#include <loopsafe/http.hpp>

#include <boost/asio/io_context.hpp>

void make(boost::asio::io_context& context)
{
#ifdef LOOPSAFE_TEST_CURE
    loopsafe::http::basic_client<loopsafe::keep_alive_pool> client(context);
#else
    loopsafe::http::basic_client<loopsafe::null_pool> client(context);
#endif
}
