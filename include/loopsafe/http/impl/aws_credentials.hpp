// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_AWS_CREDENTIALS_HPP
#define LOOPSAFE_HTTP_IMPL_AWS_CREDENTIALS_HPP

#include <loopsafe/http/detail/layers/no_credentials.hpp>
#include <loopsafe/pool/detail/rules.hpp>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe::http {
namespace detail {

inline std::string environment_variable(const char* name)
{
    const char* const found = std::getenv(name);
    return found == nullptr ? "" : found;
}

class fixed_credentials final : public aws_credential_source {
public:
    explicit fixed_credentials(aws_credentials what) : what_(std::move(what)) {}

    std::string name() const override { return "aws_fixed()"; }
    boost::asio::awaitable<aws_credentials> get() const override { co_return what_; }

private:
    const aws_credentials what_;
};

class environment_credentials final : public aws_credential_source {
public:
    std::string name() const override { return "the environment"; }
    boost::asio::awaitable<aws_credentials> get() const override
    {
        aws_credentials found(environment_variable("AWS_ACCESS_KEY_ID"),
                              environment_variable("AWS_SECRET_ACCESS_KEY"),
                              environment_variable("AWS_SESSION_TOKEN"));
        if (!found.access_key_id.empty() && found.secret_access_key.empty())
            refuse_credentials(name(), "AWS_ACCESS_KEY_ID is set, but not AWS_SECRET_ACCESS_KEY");
        co_return found;
    }
};

class first_credentials final : public aws_credential_source {
public:
    explicit first_credentials(std::vector<std::shared_ptr<const aws_credential_source>> all)
        : all_(std::move(all))
    {
        for (const auto& each : all_) {
            if (each == nullptr)
                loopsafe::detail::refuse_option("http::aws_first_of: a source is null");
        }
    }

    std::string name() const override
    {
        std::string names;
        for (const auto& each : all_)
            names.append(names.empty() ? "" : ", ").append(each->name());
        return names;
    }
    boost::asio::awaitable<aws_credentials> get() const override
    {
        for (const auto& each : all_) {
            auto found = co_await each->get();
            if (!found.access_key_id.empty())
                co_return found;
        }
        co_return aws_credentials();
    }

private:
    const std::vector<std::shared_ptr<const aws_credential_source>> all_;
};

} // namespace detail

inline std::shared_ptr<const aws_credential_source> aws_fixed(aws_credentials what)
{
    return std::make_shared<const detail::fixed_credentials>(std::move(what));
}

inline std::shared_ptr<const aws_credential_source> aws_environment()
{
    return std::make_shared<const detail::environment_credentials>();
}

inline std::shared_ptr<const aws_credential_source>
aws_first_of(std::vector<std::shared_ptr<const aws_credential_source>> all)
{
    return std::make_shared<const detail::first_credentials>(std::move(all));
}

} // namespace loopsafe::http

#endif
