// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_UTC_TIME_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_UTC_TIME_HPP

#include <loopsafe/http/detail/layers/http_date.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace loopsafe::http::detail {

// Such as "2015-08-30T12:36:00Z" (RFC 3339, in UTC). A fraction of a second is dropped.
inline std::optional<std::chrono::sys_seconds> parse_utc_time(std::string_view text) noexcept
{
    constexpr std::string_view form = "0000-00-00T00:00:00";
    if (text.size() <= form.size() || text.back() != 'Z')
        return {};
    for (std::size_t i = 0; i != form.size(); ++i) {
        if (form[i] != '0' && form[i] != text[i])
            return {};
    }
    const auto fraction = text.substr(form.size(), text.size() - form.size() - 1);
    if (!fraction.empty() && (fraction.front() != '.' || fraction.size() == 1 ||
                              !all_are(digit_char, fraction.substr(1))))
        return {};
    const auto number = [text](std::size_t at, std::size_t size) {
        return whole_number<unsigned>(text.substr(at, size));
    };
    const auto y = number(0, 4), month = number(5, 2), d = number(8, 2), h = number(11, 2),
               m = number(14, 2), s = number(17, 2);
    if (!y || !month || !d || !h || !m || !s || *h > 23 || *m > 59 || *s > 60)
        return {};
    const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(*y)),
                                          std::chrono::month(*month), std::chrono::day(*d)};
    if (!day.ok())
        return {};
    return std::chrono::sys_days(day) + std::chrono::hours(*h) + std::chrono::minutes(*m) +
           std::chrono::seconds(*s);
}

} // namespace loopsafe::http::detail

#endif
