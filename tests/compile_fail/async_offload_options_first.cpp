// SPDX-License-Identifier: BSL-1.0
// The options of an operation for every completion token stand behind it.
// expect: (use of|call to) deleted function
// expect: Cure = .*pass_offload_options_after_the_token
// expect: ^(?!(?s:.*error: (?!no return)){2})
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/use_awaitable.hpp>

boost::asio::awaitable<void> wait()
{
    const auto sleep = [] {};
    const loopsafe::offload_options options{.cancelled = loopsafe::on_cancel::abandon};
#ifdef LOOPSAFE_TEST_CURE
    co_await loopsafe::async_offload(sleep, boost::asio::use_awaitable, options);
#else
    co_await loopsafe::async_offload(options, sleep, boost::asio::use_awaitable);
#endif
}
