// SPDX-License-Identifier: BSL-1.0
// What stands behind the function are its arguments.
// expect: (use of|call to) deleted function
// expect: Cure = .*pass_offload_options_before_the_function
// expect: ^(?!(?s:.*error: (?!no return)){2})
#include <loopsafe/thread_offload.hpp>

boost::asio::awaitable<void> wait(int seconds)
{
    const auto sleep = [](int) {};
    const loopsafe::offload_options options{.cancelled = loopsafe::on_cancel::abandon};
#ifdef LOOPSAFE_TEST_CURE
    co_await loopsafe::offload(options, sleep, seconds);
#else
    co_await loopsafe::offload(sleep, seconds, options);
#endif
}
