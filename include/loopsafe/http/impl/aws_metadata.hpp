// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_AWS_METADATA_HPP
#define LOOPSAFE_HTTP_IMPL_AWS_METADATA_HPP

#include <loopsafe/http/detail/layers/metadata_client.hpp>
#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/detail/url_view.hpp>

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http {
namespace detail {

// Whether a token may be sent there in the clear.
inline bool is_local_service(std::string_view host)
{
    if (equal_ignoring_case(host, "localhost") || host == "169.254.170.2" ||
        host == "169.254.170.23")
        return true;
    boost::system::error_code ec;
    const auto address = boost::asio::ip::make_address(std::string(host), ec);
    return !ec &&
           (address.is_loopback() || address == boost::asio::ip::make_address_v6("fd00:ec2::23"));
}

class container_credentials final : public aws_credential_source {
public:
    std::string name() const override { return client_.source(); }
    boost::asio::awaitable<aws_credentials> get() const override
    {
        request asked("GET", url());
        if (asked.url.empty())
            co_return aws_credentials();
        if (const auto given = token(); !given.empty())
            asked.headers.add("Authorization", given);
        const auto text = co_await client_.ask(std::move(asked));
        co_return client_.read(text);
    }

private:
    std::string url() const
    {
        const auto relative = environment_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        if (!relative.empty()) {
            if (!relative.starts_with('/'))
                client_.refuse("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with /");
            return "http://169.254.170.2" + relative;
        }
        auto full = environment_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        if (full.empty())
            return full;
        const auto parts = split_url(full);
        if (!parts.wrong.empty())
            client_.refuse("AWS_CONTAINER_CREDENTIALS_FULL_URI: " + std::string(parts.wrong));
        if (!parts.origin.secure && !is_local_service(parts.origin.host))
            client_.refuse("AWS_CONTAINER_CREDENTIALS_FULL_URI leads to " +
                           printable(parts.origin.host) +
                           " over http, which is for the loopback and for AWS's own addresses: "
                           "use https");
        return full;
    }

    std::string token() const
    {
        const auto path = environment_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        std::string given = environment_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        if (!path.empty()) {
            std::ifstream file(path, std::ios::binary);
            given.assign(std::istreambuf_iterator<char>(file), {});
            if (!file)
                client_.refuse("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read");
            while (given.ends_with('\n') || given.ends_with('\r'))
                given.pop_back();
        }
        if (!all_are(field_char, given))
            client_.refuse("the authorization token has a line end, or another control character, "
                           "in it");
        return given;
    }

    const metadata_client client_{"the container's endpoint"};
};

class instance_credentials final : public aws_credential_source {
public:
    std::string name() const override { return client_.source(); }
    boost::asio::awaitable<aws_credentials> get() const override
    {
        if (equal_ignoring_case(environment_variable("AWS_EC2_METADATA_DISABLED"), "true"))
            co_return aws_credentials();
        const auto base = endpoint();
        request for_token("PUT", base + "/latest/api/token");
        for_token.headers.add("X-aws-ec2-metadata-token-ttl-seconds", "21600");
        const auto token = co_await client_.ask(
            std::move(for_token), ": in a container, HttpPutResponseHopLimit of the instance must "
                                  "be 2");
        if (token.empty() || !all_are(field_char, token))
            client_.refuse("the answer is no token");

        const auto roles = base + "/latest/meta-data/iam/security-credentials/";
        request for_role("GET", roles);
        for_role.headers.add("X-aws-ec2-metadata-token", token);
        auto role = co_await client_.ask(std::move(for_role));
        role.resize(std::min(role.find_first_of("\r\n"), role.size()));
        if (role.empty() || !all_are(target_char, role) ||
            role.find_first_of("/?") != std::string::npos)
            client_.refuse("the instance has no role");

        request for_credentials("GET", roles + role);
        for_credentials.headers.add("X-aws-ec2-metadata-token", token);
        const auto text = co_await client_.ask(std::move(for_credentials));
        co_return client_.read(text);
    }

private:
    std::string endpoint() const
    {
        auto given = environment_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        if (given.empty())
            return equal_ignoring_case(
                       environment_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "IPv6")
                       ? "http://[fd00:ec2::254]"
                       : "http://169.254.169.254";
        if (const auto parts = split_url(given); !parts.wrong.empty())
            client_.refuse("AWS_EC2_METADATA_SERVICE_ENDPOINT: " + std::string(parts.wrong));
        while (given.ends_with('/'))
            given.pop_back();
        return given;
    }

    const metadata_client client_{"the instance's metadata"};
};

} // namespace detail

inline std::shared_ptr<const aws_credential_source> aws_container()
{
    return std::make_shared<const detail::container_credentials>();
}

inline std::shared_ptr<const aws_credential_source> aws_instance()
{
    return std::make_shared<const detail::instance_credentials>();
}

inline std::shared_ptr<const aws_credential_source> aws_default()
{
    return aws_first_of({aws_environment(), aws_container(), aws_instance()});
}

} // namespace loopsafe::http

#endif
