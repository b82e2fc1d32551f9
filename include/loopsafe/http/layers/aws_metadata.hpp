// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_AWS_METADATA_HPP
#define LOOPSAFE_HTTP_LAYERS_AWS_METADATA_HPP

#include <loopsafe/http/layers/aws_credentials.hpp>

#include <memory>

namespace loopsafe::http {

/// The endpoint that a container has for credentials (Amazon ECS, EKS Pod Identity, AWS Lambda
/// SnapStart): AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, below http://169.254.170.2, or
/// AWS_CONTAINER_CREDENTIALS_FULL_URI. That is an https URL, or an http one of the loopback,
/// 169.254.170.2, 169.254.170.23 or [fd00:ec2::23], so that no token leaves the machine in the
/// clear. The token is the content of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, which is read each
/// time, or AWS_CONTAINER_AUTHORIZATION_TOKEN.
///
/// It is asked within a second, on a new connection, and no redirect is followed.
/// One source file of the program contains `#include <boost/json/src.hpp>`, or the program is
/// linked to Boost.JSON.
/// Errors: `error` {`no_credentials`}, without the content of what was answered.
/// Per-operation cancellation: terminal.
/// Thread safety: as `aws_environment()`.
std::shared_ptr<const aws_credential_source> aws_container();

/// The role of an EC2 instance, by its metadata service with a token (IMDSv2). The service is at
/// AWS_EC2_METADATA_SERVICE_ENDPOINT, or http://169.254.169.254, or http://[fd00:ec2::254] where
/// AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is "IPv6"; with AWS_EC2_METADATA_DISABLED as "true" it is
/// not asked.
///
/// It is asked three times, within a second each, and no redirect is followed. Elsewhere than on
/// EC2 it fails, so it is the last of `aws_first_of()`. In a container on an instance the token
/// arrives only if the instance's HttpPutResponseHopLimit is 2.
/// Boost.JSON, errors, cancellation, thread safety: as `aws_container()`.
std::shared_ptr<const aws_credential_source> aws_instance();

/// The environment, the container's endpoint, the instance's role: the first that is set up here.
std::shared_ptr<const aws_credential_source> aws_default();

} // namespace loopsafe::http

#include <loopsafe/http/impl/aws_metadata.hpp>

#endif
