// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_UNIQUE_ID_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_UNIQUE_ID_HPP

#include <cstddef>
#include <random>
#include <string>
#include <string_view>

namespace loopsafe::testing::detail {

inline constexpr std::string_view unique_id_form = "xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx";

// As AWS gives them: a UUID of version 4.
inline std::string unique_id()
{
    thread_local std::mt19937_64 random{std::random_device{}()};
    std::string id(unique_id_form);
    for (char& c : id) {
        if (c == 'x')
            c = "0123456789abcdef"[random() % 16];
    }
    return id;
}

inline bool is_unique_id(std::string_view text)
{
    if (text.size() != unique_id_form.size())
        return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = unique_id_form[i] == '-';
        constexpr std::string_view digits = "0123456789abcdefABCDEF";
        if (dash ? text[i] != '-' : digits.find(text[i]) == digits.npos)
            return false;
    }
    return true;
}

} // namespace loopsafe::testing::detail

#endif
