// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_PROXIES_HPP
#define LOOPSAFE_HTTP_IMPL_PROXIES_HPP

#include <loopsafe/detail/base64.hpp>
#include <loopsafe/http/detail/no_proxy.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <initializer_list>

namespace loopsafe::http {
namespace detail {

// A user or a password. Its errors are the reader's.
inline std::optional<std::string> percent_decoded(std::string_view text)
{
    const auto value = [](char c) {
        constexpr std::string_view digits = "0123456789abcdef";
        return digits.find(lower(c));
    };
    std::string decoded;
    for (std::size_t i = 0; i != text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        if (text.size() - i < 3)
            return {};
        const auto high = value(text[i + 1]);
        const auto low = value(text[i + 2]);
        if (high > 15 || low > 15)
            return {};
        decoded += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return decoded;
}

// RFC 7617, 2: up to the first colon is the user.
inline std::string proxy_authorization(std::string_view userinfo, const std::string& what)
{
    const auto refuse_it = [&what](const char* why) { refuse(errc::bad_url, what + ": " + why); };
    const auto colon = std::min(userinfo.find(':'), userinfo.size());
    const auto user = percent_decoded(userinfo.substr(0, colon));
    const auto password = percent_decoded(userinfo.substr(std::min(colon + 1, userinfo.size())));
    if (!user || !password)
        refuse_it("in user and password, a percent sign must be written as %25");
    if (user->find(':') != std::string::npos)
        refuse_it("a user must not have a colon (RFC 7617, 2)");
    const auto both = *user + ':' + *password;
    if (std::any_of(both.begin(), both.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
        refuse_it("user and password must not have a control character (RFC 7617, 2)");
    return "Basic " + loopsafe::detail::to_base64(both);
}

// No error shows anything of the URL: what is malformed may be a password at any place.
inline proxy parse_proxy(std::string_view text, const std::string& what)
{
    const auto refuse_it = [&what](std::string_view why) {
        refuse(errc::bad_url, what + ": " + std::string(why));
    };
    text = trimmed(text);
    if (const auto end = text.find("://"); end != std::string_view::npos) {
        const auto scheme = text.substr(0, end);
        if (equal_ignoring_case(scheme, "https"))
            refuse_it("proxies that are spoken to in TLS are not supported: use http://host:port, "
                      "which leads to https servers, too");
        if (equal_ignoring_case(scheme.substr(0, 5), "socks"))
            refuse_it("SOCKS is not supported: use an HTTP proxy, http://host:port");
        if (equal_ignoring_case(scheme, "http"))
            text.remove_prefix(end + 3);
        else if (is_token(scheme)) // else it is a part of a password
            refuse_it("it must begin with http://");
    }
    proxy made;
    if (const auto at = text.rfind('@'); at != std::string_view::npos) {
        if (at != 0)
            made.authorization = proxy_authorization(text.substr(0, at), what);
        text.remove_prefix(at + 1);
    }
    const auto whole = "http://" + std::string(text);
    const auto parts = split_url(whole);
    if (!parts.wrong.empty())
        refuse_it(parts.wrong);
    if (!parts.target.empty() && parts.target != "/")
        refuse_it("a proxy has no path: it must be http://user:password@host:port");
    origin at{false, std::string(parts.origin.host), parts.origin.port};
    if (const auto wrong = normalise_host(at, parts.origin.bracketed); !wrong.empty())
        refuse_it(wrong);
    made.host = std::move(at.host);
    made.port = at.port;
    return made;
}

} // namespace detail

inline std::string proxy::to_string() const
{
    return (host.find(':') != std::string::npos ? '[' + host + ']' : host) + ':' +
           std::to_string(port);
}

inline proxies proxies::all(std::string_view url)
{
    proxies made;
    made.http_ = made.https_ = detail::parse_proxy(url, "the proxy");
    return made;
}

inline proxies& proxies::for_http(std::string_view url)
{
    http_ = detail::parse_proxy(url, "the proxy for http");
    return *this;
}

inline proxies& proxies::for_https(std::string_view url)
{
    https_ = detail::parse_proxy(url, "the proxy for https");
    return *this;
}

inline proxies& proxies::except(std::string_view list)
{
    except_ = list;
    return *this;
}

inline proxies proxies::from_environment()
{
    return from_environment([](const char* name) -> std::optional<std::string> {
        const char* const value = std::getenv(name);
        return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
    });
}

inline proxies proxies::from_environment(const environment& read)
{
    proxies made;
    const auto first_of = [&read](std::initializer_list<const char*> names, const auto& use) {
        for (const char* const name : names) {
            const auto value = read(name);
            if (value && !detail::trimmed(*value).empty()) {
                use(*value, name);
                return;
            }
        }
    };
    const auto parse_into = [](std::optional<proxy>& to) {
        return [&to](const std::string& url, const char* name) {
            to = detail::parse_proxy(url, std::string("the variable ") + name);
        };
    };
    first_of({"http_proxy", "all_proxy", "ALL_PROXY"}, parse_into(made.http_));
    first_of({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}, parse_into(made.https_));
    first_of({"no_proxy", "NO_PROXY"},
             [&made](const std::string& list, const char*) { made.except(list); });
    return made;
}

inline const proxy* proxies::find(const origin& of) const noexcept
{
    const auto& found = of.secure ? https_ : http_;
    return found && !detail::goes_past_proxies(except_, of) ? &*found : nullptr;
}

} // namespace loopsafe::http

#endif
