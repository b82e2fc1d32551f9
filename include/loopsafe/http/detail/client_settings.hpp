// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_SETTINGS_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_SETTINGS_HPP

#include <loopsafe/http/options.hpp>
#include <loopsafe/http/url.hpp>

#include <memory>
#include <optional>
#include <string>

namespace loopsafe::http::detail {

// The settings that all requests of a client share.
struct client_settings {
    std::shared_ptr<const single_use_client_options> options;
    std::optional<url> base;
    std::string target_prefix; // of the base, without its last "/"
    std::string own_fields;    // the headers of the options, as lines
    bool closes = false;       // one request for each connection
};

} // namespace loopsafe::http::detail

#endif
