// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_ORDER_HPP
#define LOOPSAFE_TESTS_SUPPORT_ORDER_HPP

#include <boost/json.hpp>

#include <string>
#include <vector>

namespace support {

/// A type of a user's own, with both of its conversions to JSON.
struct order {
    int number = 0;
    std::vector<std::string> lines;
};

inline order tag_invoke(const boost::json::value_to_tag<order>&, const boost::json::value& from)
{
    const auto& object = from.as_object();
    return {boost::json::value_to<int>(object.at("number")),
            boost::json::value_to<std::vector<std::string>>(object.at("lines"))};
}

inline void tag_invoke(const boost::json::value_from_tag&, boost::json::value& to,
                       const order& from)
{
    to = {{"number", from.number}, {"lines", boost::json::value_from(from.lines)}};
}

} // namespace support

#endif
