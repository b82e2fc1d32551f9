// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_AWS_CREDENTIALS_HPP
#define LOOPSAFE_HTTP_LAYERS_AWS_CREDENTIALS_HPP

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe::http {

/// What a request to AWS is signed with.
struct aws_credentials {
    aws_credentials() {}
    aws_credentials(std::string key_id, std::string secret, std::string token = {})
        : access_key_id(std::move(key_id)),
          secret_access_key(std::move(secret)),
          session_token(std::move(token))
    {
    }

    std::string access_key_id; ///< empty: there are none
    std::string secret_access_key;
    std::string session_token;                                    ///< of temporary ones
    std::optional<std::chrono::system_clock::time_point> expires; ///< none: never
};

/// Where credentials come from. Derive from it for a source of your own.
///
/// It is shared by all requests, on all their threads and contexts: between two calls it must keep
/// nothing that belongs to a context. `sigv4` keeps what it gives, and asks again in time.
class aws_credential_source {
public:
    aws_credential_source() = default;
    aws_credential_source(const aws_credential_source&) = delete;
    aws_credential_source& operator=(const aws_credential_source&) = delete;
    virtual ~aws_credential_source() = default;

    /// For errors, such as "the environment".
    virtual std::string name() const = 0;

    /// Gives credentials; empty ones where this source is not set up here, so that the next may be
    /// asked. It runs on the context of the request that needs them, and should end within seconds.
    /// Errors: any; put no secret into their text.
    virtual boost::asio::awaitable<aws_credentials> get() const = 0;
};

/// These.
std::shared_ptr<const aws_credential_source> aws_fixed(aws_credentials what);

/// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, as AWS Lambda sets them.
///
/// Errors: `error` {`no_credentials`} if the first is set and the second is not.
/// Thread safety: no other thread may change the environment meanwhile.
std::shared_ptr<const aws_credential_source> aws_environment();

/// The first of these that is set up here. If one that is fails, its error is the result: another
/// might stand for somebody else.
///
/// Errors: `bad_option` (as `system_error`) if one is null.
std::shared_ptr<const aws_credential_source>
aws_first_of(std::vector<std::shared_ptr<const aws_credential_source>> all);

} // namespace loopsafe::http

#include <loopsafe/http/impl/aws_credentials.hpp>

#endif
