// SPDX-License-Identifier: BSL-1.0
// The event is gone when the function runs.
// expect: the event of lambda::json would be a view of what is gone
#include <loopsafe/lambda/json.hpp>

#include <string>
#include <string_view>

#ifdef LOOPSAFE_TEST_CURE
using event_text = std::string;
#else
using event_text = std::string_view;
#endif

auto handler()
{
    return loopsafe::lambda::json([](event_text) -> boost::asio::awaitable<void> { co_return; });
}
