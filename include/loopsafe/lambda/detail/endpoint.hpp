// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_ENDPOINT_HPP
#define LOOPSAFE_LAMBDA_DETAIL_ENDPOINT_HPP

#include <loopsafe/error.hpp>
#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/lambda/error.hpp>

#include <boost/system/system_error.hpp>

#include <string>
#include <string_view>

namespace loopsafe::lambda::detail {

// Where a Runtime API is: AWS_LAMBDA_RUNTIME_API. A service for several functions has a path in it.
struct endpoint {
    std::string host;
    std::string port = "80";
    std::string prefix;

    // `from`: who has said so. Errors: `no_runtime_api` (as `system_error`).
    endpoint(std::string_view text, std::string_view from)
    {
        const auto given = text;
        const auto slash = text.find('/');
        if (slash != text.npos) {
            prefix = text.substr(slash);
            text = text.substr(0, slash);
            while (prefix.ends_with('/'))
                prefix.pop_back();
        }
        const auto colon = text.rfind(':');
        const bool has_port = colon != text.npos && text.find(']', colon) == text.npos;
        host = text.substr(0, has_port ? colon : text.npos);
        if (has_port)
            port = text.substr(colon + 1);
        using namespace http::detail;
        const bool literal = host.starts_with('[') && host.ends_with(']');
        if (literal)
            host = host.substr(1, host.size() - 2);
        if (host.empty() || port.empty() || !all_are(digit_char, port) || port.size() > 5 ||
            std::stoi(port) > 65535 || !all_are(literal ? target_char : host_char, host) ||
            !all_are(target_char, prefix))
            throw boost::system::system_error(
                make_error_code(errc::no_runtime_api),
                given.empty() ? "AWS_LAMBDA_RUNTIME_API is not set: this program is started by AWS "
                                "Lambda, or by something that stands in for it"
                              : "\"" + std::string(given) + "\" is not host:port (" +
                                    std::string(from) + ")");
    }

    std::string authority() const
    {
        const bool literal = host.find(':') != host.npos;
        return (literal ? '[' + host + ']' : host) + ':' + port;
    }
};

} // namespace loopsafe::lambda::detail

#endif
