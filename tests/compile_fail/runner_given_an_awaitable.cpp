// SPDX-License-Identifier: BSL-1.0
// The same with a kept context.
// expect: (use of|call to) deleted (member )?function
// expect: Cure = .*pass_a_function_that_returns_this_awaitable
#include <loopsafe/runner.hpp>

boost::asio::awaitable<int> work();

int call(loopsafe::runner& runner)
{
#ifdef LOOPSAFE_TEST_CURE
    return runner.run(work);
#else
    return runner.run(work());
#endif
}
