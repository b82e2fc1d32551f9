// SPDX-License-Identifier: BSL-1.0
// A type that JSON cannot be converted to.
// expect: as_json has no conversion from JSON to this type
#include <loopsafe/http/json.hpp>

struct order {
    int number = 0;
};
#ifdef LOOPSAFE_TEST_CURE
order tag_invoke(const boost::json::value_to_tag<order>&, const boost::json::value& from)
{
    return {boost::json::value_to<int>(from.at("number"))};
}
#endif

auto body(const loopsafe::http::response& answer)
{
    return loopsafe::http::as_json<order>(answer);
}
