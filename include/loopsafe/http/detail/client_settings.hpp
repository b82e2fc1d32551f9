// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_SETTINGS_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_SETTINGS_HPP

#include <loopsafe/http/options.hpp>
#include <loopsafe/http/url.hpp>
#include <loopsafe/pool/detail/rules.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::http::detail {

// The settings that all requests of a client share.
struct client_settings {
    std::shared_ptr<const single_use_client_options> options;
    std::optional<url> base;
    std::string target_prefix; // of the base, without its last "/"
    fields foreign_headers;    // those of the options that every origin may see
    std::string own_fields;    // the headers of the options, as lines
    std::string foreign_fields;
    bool closes = false; // one request for each connection
};

// Of the client's own fields, those that can hold no secret.
inline bool is_for_every_origin(std::string_view name) noexcept
{
    constexpr std::string_view accept = "accept";
    return equal_ignoring_case(name, "user-agent") ||
           equal_ignoring_case(name.substr(0, accept.size()), accept);
}

inline void check_timeouts(const timeouts& t)
{
    const std::pair<const char*, std::chrono::milliseconds> all[] = {{"wait", t.wait},
                                                                     {"resolve", t.resolve},
                                                                     {"connect", t.connect},
                                                                     {"tunnel", t.tunnel},
                                                                     {"tls", t.tls},
                                                                     {"write", t.write},
                                                                     {"first_byte", t.first_byte},
                                                                     {"gap", t.gap},
                                                                     {"total", t.total}};
    for (const auto& [name, limit] : all) {
        if (limit < std::chrono::milliseconds::zero())
            loopsafe::detail::refuse_option("http::client: timeouts." + std::string(name) +
                                            " must not be negative");
    }
}

} // namespace loopsafe::http::detail

#endif
