// SPDX-License-Identifier: BSL-1.0
// A plain function would block the loop.
// expect: that returns an asio::awaitable
#include <loopsafe/lambda/json.hpp>

auto handler()
{
#ifdef LOOPSAFE_TEST_CURE
    return loopsafe::lambda::json([](int n) -> boost::asio::awaitable<int> { co_return n; });
#else
    return loopsafe::lambda::json([](int n) { return n; });
#endif
}
