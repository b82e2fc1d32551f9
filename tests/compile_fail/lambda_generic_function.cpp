// SPDX-License-Identifier: BSL-1.0
// It does not say what its event is.
// expect: where it is generic, name the event
#include <loopsafe/lambda/json.hpp>

auto handler()
{
    const auto function = [](auto) -> boost::asio::awaitable<void> { co_return; };
#ifdef LOOPSAFE_TEST_CURE
    return loopsafe::lambda::json<int>(function);
#else
    return loopsafe::lambda::json(function);
#endif
}
