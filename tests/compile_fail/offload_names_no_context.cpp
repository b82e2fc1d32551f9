// SPDX-License-Identifier: BSL-1.0
// A plain callback runs on no context.
// expect: use async_offload\(executor, fn, token\)
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/io_context.hpp>

void ask(boost::asio::io_context& context)
{
    const auto done = [](const std::exception_ptr&, int) {};
#ifdef LOOPSAFE_TEST_CURE
    loopsafe::async_offload(context.get_executor(), [] { return 42; }, done);
#else
    static_cast<void>(context);
    loopsafe::async_offload([] { return 42; }, done);
#endif
}
