// SPDX-License-Identifier: BSL-1.0
// A plain callback runs on no context, and null_pool has no home to fall back on.
// expect: use async_acquire\(executor, token\)
#include "connectors.hpp"

#include <boost/asio/io_context.hpp>

void ask(loopsafe::connection_pool<complete, loopsafe::null_pool>& pool,
         boost::asio::io_context& context)
{
    const auto done = [](boost::system::error_code, const auto&) {};
#ifdef LOOPSAFE_TEST_CURE
    pool.async_acquire(context.get_executor(), done);
#else
    static_cast<void>(context);
    pool.async_acquire(done);
#endif
}
