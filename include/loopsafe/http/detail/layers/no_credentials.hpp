// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_NO_CREDENTIALS_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_NO_CREDENTIALS_HPP

#include <loopsafe/http/error.hpp>

#include <string>
#include <string_view>

namespace loopsafe::http::detail {

[[noreturn]] inline void refuse_credentials(std::string_view source, std::string_view why)
{
    throw error(errc::no_credentials, {.stage = stage::prepare},
                "credentials from " + std::string(source) + ": " + std::string(why));
}

} // namespace loopsafe::http::detail

#endif
