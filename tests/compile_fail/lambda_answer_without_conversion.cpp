// SPDX-License-Identifier: BSL-1.0
// A type that cannot be converted to JSON.
// expect: the answer of lambda::json has no conversion to JSON
#include <loopsafe/lambda/json.hpp>

struct receipt {
    int number = 0;
};
#ifdef LOOPSAFE_TEST_CURE
void tag_invoke(const boost::json::value_from_tag&, boost::json::value& to, const receipt& from)
{
    to = from.number;
}
#endif

auto handler()
{
    return loopsafe::lambda::json(
        [](int n) -> boost::asio::awaitable<receipt> { co_return receipt{n}; });
}
