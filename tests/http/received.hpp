// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_RECEIVED_HPP
#define LOOPSAFE_TESTS_HTTP_RECEIVED_HPP

#include <string>

namespace http_test {

/// The value of a field of a request as it was received, or "none".
inline std::string field_of(const std::string& text, const std::string& name)
{
    const auto at = text.find("\r\n" + name + ": ");
    if (at == std::string::npos)
        return "none";
    const auto begin = at + name.size() + 4;
    return text.substr(begin, text.find("\r\n", begin) - begin);
}

} // namespace http_test

#endif
