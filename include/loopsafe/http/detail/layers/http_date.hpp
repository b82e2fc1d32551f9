// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_HTTP_DATE_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_HTTP_DATE_HPP

#include <loopsafe/http/detail/text.hpp>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>
#include <system_error>

namespace loopsafe::http::detail {

// Digits only, all of them.
template <class Number>
std::optional<Number> whole_number(std::string_view text) noexcept
{
    Number n = 0;
    if (text.empty() || !all_are(digit_char, text) ||
        std::from_chars(text.data(), text.data() + text.size(), n).ec != std::errc())
        return {};
    return n;
}

// Such as "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7). None of the two obsolete formats.
inline std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text) noexcept
{
    constexpr std::string_view form = "aaa, 00 aaa 0000 00:00:00 GMT";
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (text.size() != form.size())
        return {};
    for (std::size_t i = 0; i != form.size(); ++i) {
        if (form[i] != '0' && form[i] != 'a' && form[i] != text[i])
            return {};
    }
    const auto number = [text](std::size_t at, std::size_t size) {
        return whole_number<unsigned>(text.substr(at, size));
    };
    const auto month = months.find(text.substr(8, 3));
    const auto d = number(5, 2), y = number(12, 4), h = number(17, 2), m = number(20, 2),
               s = number(23, 2);
    if (month == std::string_view::npos || month % 3 != 0 || !d || !y || !h || !m || !s ||
        *h > 23 || *m > 59 || *s > 60)
        return {};
    const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(*y)),
                                          std::chrono::month(static_cast<unsigned>(month) / 3 + 1),
                                          std::chrono::day(*d)};
    if (!day.ok())
        return {};
    return std::chrono::sys_days(day) + std::chrono::hours(*h) + std::chrono::minutes(*m) +
           std::chrono::seconds(*s);
}

} // namespace loopsafe::http::detail

#endif
