// SPDX-License-Identifier: BSL-1.0
// use_future runs on no context, and null_pool has no home to fall back on.
// expect: use async_acquire\(executor, token\)
#include "connectors.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

void ask(loopsafe::connection_pool<complete, loopsafe::null_pool>& pool,
         boost::asio::io_context& context)
{
#ifdef LOOPSAFE_TEST_CURE
    pool.async_acquire(context.get_executor(), boost::asio::use_future);
#else
    static_cast<void>(context);
    pool.async_acquire(boost::asio::use_future);
#endif
}
