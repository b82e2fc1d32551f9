// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_URL_HPP
#define LOOPSAFE_HTTP_IMPL_URL_HPP

#include <loopsafe/http/detail/url_view.hpp>
#include <loopsafe/http/fields.hpp>

#include <boost/asio/ip/address_v6.hpp>

#include <algorithm>

namespace loopsafe::http {
namespace detail {

// What is only looked at for a new origin: gives the host its normal form, and says what is wrong
// with it, if anything.
inline std::string_view normalise_host(origin& of, bool bracketed)
{
    if (!bracketed) {
        std::transform(of.host.begin(), of.host.end(), of.host.begin(), lower);
        return {};
    }
    error_code ec;
    const auto address = boost::asio::ip::make_address_v6(of.host, ec);
    if (ec || address.scope_id() != 0 || of.host.find('%') != std::string::npos)
        return "brackets must hold an IPv6 address without a zone";
    of.host = address.to_string();
    return {};
}

// Throws the errors that `split_url` has found, and those of the host.
inline origin checked_origin(const url_view& parts, std::string_view text)
{
    const auto require_right = [text](std::string_view wrong) {
        if (!wrong.empty())
            refuse(errc::bad_url, "url " + shown_malformed(text) + ": " + std::string(wrong));
    };
    require_right(parts.wrong);
    origin made{parts.origin.secure, std::string(parts.origin.host), parts.origin.port};
    require_right(normalise_host(made, parts.origin.bracketed));
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
