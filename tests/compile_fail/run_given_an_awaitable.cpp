// SPDX-License-Identifier: BSL-1.0
// run makes the coroutine itself, on its own context.
// expect: (use of|call to) deleted function
// expect: Cure = .*pass_a_function_that_returns_this_awaitable
#include <loopsafe/runner.hpp>

boost::asio::awaitable<void> work();

void start()
{
#ifdef LOOPSAFE_TEST_CURE
    loopsafe::run([] { return work(); });
#else
    loopsafe::run(work());
#endif
}
