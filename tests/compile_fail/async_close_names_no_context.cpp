// SPDX-License-Identifier: BSL-1.0
// async_close needs a context to wait on.
// expect: bind an executor to it
#include "connectors.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

void end(loopsafe::connection_pool<complete, loopsafe::null_pool>& pool,
         boost::asio::io_context& context)
{
    const auto done = [](boost::system::error_code) {};
#ifdef LOOPSAFE_TEST_CURE
    pool.async_close(std::chrono::seconds(1), boost::asio::bind_executor(context, done));
#else
    static_cast<void>(context);
    pool.async_close(std::chrono::seconds(1), done);
#endif
}
