// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_URL_HPP
#define LOOPSAFE_HTTP_IMPL_URL_HPP

#include <loopsafe/http/detail/url_view.hpp>
#include <loopsafe/http/fields.hpp>

#include <boost/asio/ip/address_v6.hpp>

#include <algorithm>

namespace loopsafe::http {
namespace detail {

// Throws the errors that `split_url` has found, and those that are only checked for a new origin.
inline origin checked_origin(const url_view& parts, std::string_view text)
{
    const auto refuse_it = [text](std::string_view why) {
        refuse(errc::bad_url, "url " + shown_malformed(text) + ": " + std::string(why));
    };
    if (!parts.wrong.empty())
        refuse_it(parts.wrong);
    origin made{parts.origin.secure, std::string(parts.origin.host), parts.origin.port};
    if (parts.origin.bracketed) {
        error_code ec;
        const auto address = boost::asio::ip::make_address_v6(made.host, ec);
        if (ec || address.scope_id() != 0 || made.host.find('%') != std::string::npos)
            refuse_it("brackets must hold an IPv6 address without a zone");
        made.host = address.to_string();
    } else {
        std::transform(made.host.begin(), made.host.end(), made.host.begin(), lower);
    }
    return made;
}

} // namespace detail

inline std::string origin::authority() const
{
    std::string text = host.find(':') != std::string::npos ? '[' + host + ']' : host;
    if (port != (secure ? 443 : 80))
        text += ':' + std::to_string(port);
    return text;
}

inline url parse_url(std::string_view text)
{
    const auto parts = detail::split_url(text);
    return {detail::checked_origin(parts, text), detail::normal_target(parts.target, false)};
}

} // namespace loopsafe::http

#endif
