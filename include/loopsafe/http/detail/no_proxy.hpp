// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_NO_PROXY_HPP
#define LOOPSAFE_HTTP_DETAIL_NO_PROXY_HPP

#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/url.hpp>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>

namespace loopsafe::http::detail {

// A member of the list of origins that are reached without a proxy, as it stands there.
struct excepted {
    std::string_view name; // without brackets; a network with its length
    std::string_view port; // empty: any
    bool valid = true;
};

inline excepted parse_excepted(std::string_view text) noexcept
{
    excepted found;
    found.name = text;
    auto end = text.find(':');
    if (text.starts_with('[')) {
        const auto bracket = text.find(']');
        found.valid = bracket != std::string_view::npos;
        found.name = text.substr(1, found.valid ? bracket - 1 : 0);
        end = bracket + 1;
        if (!found.valid || end == text.size())
            return found;
    } else if (end == std::string_view::npos || end != text.rfind(':')) {
        return found; // without a port, or an IPv6 address
    } else {
        found.name = text.substr(0, end);
    }
    found.port = text.substr(end + 1);
    found.valid = text[end] == ':' && !found.port.empty();
    return found;
}

inline bool is_in_network(std::string_view network, const boost::asio::ip::address& host) noexcept
{
    error_code ec;
    if (host.is_v4()) {
        const auto in = boost::asio::ip::make_network_v4(network, ec);
        return !ec && boost::asio::ip::network_v4(host.to_v4(), in.prefix_length()).canonical() ==
                          in.canonical();
    }
    const auto in = boost::asio::ip::make_network_v6(network, ec);
    return !ec && boost::asio::ip::network_v6(host.to_v6(), in.prefix_length()).canonical() ==
                      in.canonical();
}

inline std::string_view without_last_dot(std::string_view name) noexcept
{
    return name.substr(0, name.size() - (name.ends_with('.') ? 1 : 0));
}

// The host itself and, label by label, what is below it.
inline bool is_below(std::string_view host, std::string_view name) noexcept
{
    host = without_last_dot(host);
    name = without_last_dot(name);
    name.remove_prefix(name.starts_with("*.") ? 2 : name.starts_with('.') ? 1 : 0);
    if (name.empty() || host.size() < name.size() ||
        !equal_ignoring_case(host.substr(host.size() - name.size()), name))
        return false;
    return host.size() == name.size() || host[host.size() - name.size() - 1] == '.';
}

inline bool is_excepted(std::string_view member, const origin& of) noexcept
{
    if (member == "*")
        return true;
    const auto [name, port, valid] = parse_excepted(member);
    if (!valid)
        return false;
    if (!port.empty()) {
        std::uint16_t number = 0;
        const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), number);
        if (failed != std::errc() || end != port.data() + port.size() || number != of.port)
            return false;
    }
    error_code ec;
    const auto host = boost::asio::ip::make_address(of.host, ec);
    if (ec)
        return is_below(of.host, name);
    if (name.find('/') != std::string_view::npos)
        return is_in_network(name, host);
    const auto address = boost::asio::ip::make_address(name, ec);
    return !ec && address == host;
}

// The rules of curl, whose NO_PROXY is understood most widely; ports and "*." are Go's.
inline bool goes_past_proxies(std::string_view list, const origin& of) noexcept
{
    constexpr std::string_view separators = ", \t\r\n";
    while (!list.empty()) {
        const auto size = std::min(list.find_first_of(separators), list.size());
        if (size != 0 && is_excepted(list.substr(0, size), of))
            return true;
        list.remove_prefix(std::min(size + 1, list.size()));
    }
    return false;
}

} // namespace loopsafe::http::detail

#endif
