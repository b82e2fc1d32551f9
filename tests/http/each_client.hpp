// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_EACH_CLIENT_HPP
#define LOOPSAFE_TESTS_HTTP_EACH_CLIENT_HPP

#include <functional>
#include <http/support.hpp>
#include <string>

namespace http_test {

/// Each kind of client, without TLS and with it.
inline void with_each_client(const std::function<void(combination, bool)>& check)
{
    for (const auto what : all_combinations) {
        for (const bool secure : {false, true}) {
            CAPTURE(std::string(name_of(what)));
            CAPTURE(secure);
            check(what, secure);
        }
    }
}

} // namespace http_test

#endif
