// SPDX-License-Identifier: BSL-1.0
// A type that cannot be converted to JSON.
// expect: with_json has no conversion from this type to JSON
#include <loopsafe/http/json.hpp>

struct order {
    int number = 0;
};
#ifdef LOOPSAFE_TEST_CURE
void tag_invoke(const boost::json::value_from_tag&, boost::json::value& to, const order& from)
{
    to = from.number;
}
#endif

auto asked(const order& what)
{
    return loopsafe::http::with_json({"POST", "/"}, what);
}
