// SPDX-License-Identifier: BSL-1.0
// A type that JSON cannot be converted to.
// expect: the event of lambda::json has no conversion from JSON
#include <loopsafe/lambda/json.hpp>

struct order {
    int number = 0;
};
#ifdef LOOPSAFE_TEST_CURE
order tag_invoke(const boost::json::value_to_tag<order>&, const boost::json::value& from)
{
    return {boost::json::value_to<int>(from.at("number"))};
}
#endif

auto handler()
{
    return loopsafe::lambda::json([](order) -> boost::asio::awaitable<void> { co_return; });
}
