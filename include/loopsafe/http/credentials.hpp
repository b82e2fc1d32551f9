// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_CREDENTIALS_HPP
#define LOOPSAFE_HTTP_CREDENTIALS_HPP

#include <loopsafe/detail/base64.hpp>
#include <loopsafe/http/fields.hpp>
#include <loopsafe/http/url.hpp>

#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace loopsafe::http {
namespace detail {

// What an error says of a secret is where it is wrong, and by which control character.
inline void refuse_controls(std::string_view of, std::string_view secret)
{
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    };
    const auto found = std::find_if(secret.begin(), secret.end(), is_control);
    if (found == secret.end())
        return;
    const auto at = static_cast<std::size_t>(found - secret.begin());
    refuse(errc::bad_credentials, std::string(of) + ": byte " + std::to_string(at + 1) + " is " +
                                      printable(secret.substr(at, 1)));
}

// A coroutine, so that its value is its own however long its caller lives.
inline boost::asio::awaitable<std::string> authorization_of(std::string value)
{
    co_return value;
}

} // namespace detail

/// The value of an Authorization field for the scheme Basic.
///
///     options.authorization = http::only_for("https://example.org", http::basic("ann", password));
///
/// User and password are sent as they are: a server expects UTF-8.
/// Errors: `error` {`bad_credentials`} in the stage `prepare`, where the user has a colon, or
/// either a control character. Nothing of either is in the text, but that character.
/// Source: RFC 7617, 2.
inline std::string basic(std::string_view user, std::string_view password)
{
    if (user.find(':') != std::string_view::npos)
        detail::refuse(errc::bad_credentials, "basic: the user has a colon, which ends it");
    detail::refuse_controls("basic: the user", user);
    detail::refuse_controls("basic: the password", password);
    return "Basic " + loopsafe::detail::to_base64(std::string(user).append(":").append(password));
}

/// The value of an Authorization field for the scheme Bearer.
///
/// Errors: `error` {`bad_credentials`} in the stage `prepare`, where the token is empty, or has
/// anything but visible ASCII, such as the end of the line of the file that it was read from.
/// Nothing of it is in the text, but a control character.
/// Source: RFC 6750, 2.1.
inline std::string bearer(std::string_view token)
{
    if (token.empty())
        detail::refuse(errc::bad_credentials, "bearer: the token is empty");
    detail::refuse_controls("bearer: the token", token);
    for (std::size_t i = 0; i != token.size(); ++i) {
        const char c = token[i];
        if (c == ' ' || static_cast<unsigned char>(c) >= 0x80)
            detail::refuse(errc::bad_credentials, "bearer: byte " + std::to_string(i + 1) +
                                                      " of the token is " +
                                                      (c == ' ' ? "a space" : "not ASCII"));
    }
    return std::string("Bearer ").append(token);
}

/// Gives the value of an Authorization field; see `single_use_client_options::authorization`.
using authorization_provider = std::function<boost::asio::awaitable<std::string>(const origin&)>;

/// A provider for `client_options::authorization` that knows nothing for any origin but this one:
/// for another it is not called, and the request has no Authorization field.
///
/// Thread safety and cancellation: those of `provider`.
template <class F>
    requires std::constructible_from<authorization_provider, F>
authorization_provider only_for(const origin& only, F&& provider)
{
    return [only, provider = authorization_provider(std::forward<F>(provider))](
               const origin& asked) -> boost::asio::awaitable<std::string> {
        if (asked == only)
            return provider(asked);
        return detail::authorization_of({});
    };
}

/// The same with a value that stays, such as that of `basic()` or `bearer()`.
inline authorization_provider only_for(const origin& only, std::string value)
{
    return only_for(only, [value = std::move(value)](const origin&) {
        return detail::authorization_of(value);
    });
}

/// The same for the origin of a URL, whatever its path. Errors: as `parse_url()`.
template <class Provider>
authorization_provider only_for(std::string_view url, Provider&& provider)
{
    return only_for(parse_url(url).origin, std::forward<Provider>(provider));
}

} // namespace loopsafe::http

#endif
