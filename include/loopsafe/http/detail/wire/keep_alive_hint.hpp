// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_WIRE_KEEP_ALIVE_HINT_HPP
#define LOOPSAFE_HTTP_DETAIL_WIRE_KEEP_ALIVE_HINT_HPP

#include <loopsafe/http/fields.hpp>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace loopsafe::http::detail {

// How long the server will keep the connection, if it announces that in a "Keep-Alive: timeout=N"
// field, less two seconds for data in transit.
inline std::optional<std::chrono::seconds> keep_alive_hint(const fields& headers)
{
    std::optional<std::chrono::seconds> hint;
    const auto value = headers.find("keep-alive");
    if (!value)
        return hint;
    for_each_member(*value, [&hint](std::string_view member) {
        constexpr std::string_view name = "timeout=";
        if (!equal_ignoring_case(member.substr(0, name.size()), name))
            return;
        member.remove_prefix(name.size());
        constexpr std::uint32_t margin = 2;
        constexpr std::uint32_t most = 600;
        std::uint32_t seconds = 0;
        const auto [end, ec] =
            std::from_chars(member.data(), member.data() + member.size(), seconds);
        if (end != member.data() + member.size() || member.empty())
            return;
        if (ec == std::errc::result_out_of_range)
            seconds = most;
        hint = std::chrono::seconds(seconds > margin ? std::min(seconds, most) - margin : 0);
    });
    return hint;
}

} // namespace loopsafe::http::detail

#endif
