// SPDX-License-Identifier: BSL-1.0
// A strand of the Networking TS does not say which context it belongs to.
// expect: bind the handler to asio::make_strand
#include "connectors.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/io_context_strand.hpp>
#include <boost/asio/strand.hpp>

void ask(loopsafe::connection_pool<complete>& pool, boost::asio::io_context& context)
{
    const auto done = [](boost::system::error_code, loopsafe::lease<complete>) {};
#ifdef LOOPSAFE_TEST_CURE
    pool.async_acquire(boost::asio::bind_executor(boost::asio::make_strand(context), done));
#else
    const boost::asio::io_context::strand strand(context);
    pool.async_acquire(boost::asio::bind_executor(strand, done));
#endif
}
