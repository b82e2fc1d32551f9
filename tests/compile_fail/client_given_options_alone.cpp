// SPDX-License-Identifier: BSL-1.0
// The same with options.
// expect: (use of deleted function|call to deleted constructor)
// expect: pass_an_io_context_first_or_choose_basic_client_with_null_pool
#include <loopsafe/http.hpp>

#include <boost/asio/io_context.hpp>

void make(boost::asio::io_context& context, const loopsafe::http::client_options& options)
{
#ifdef LOOPSAFE_TEST_CURE
    loopsafe::http::client client{context, options};
#else
    static_cast<void>(context);
    loopsafe::http::client client{options};
#endif
}
