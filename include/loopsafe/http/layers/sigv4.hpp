// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_SIGV4_HPP
#define LOOPSAFE_HTTP_LAYERS_SIGV4_HPP

#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/aws_credentials.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace loopsafe::http {

/// For which service of AWS `sigv4` signs, and as whom.
struct sigv4_options {
    sigv4_options() {}

    std::string service; ///< as in its endpoint: "s3", "sqs", "execute-api"
    std::string region;  ///< "eu-central-1"
    std::shared_ptr<const aws_credential_source> credentials = aws_environment();

    /// Replaces the system's clock. Called by all threads that send.
    std::function<std::chrono::system_clock::time_point()> clock;
};

/// Signs each attempt of a request for AWS (Signature Version 4).
///
///     http::sigv4_options aws;
///     aws.service = "s3";
///     aws.region = "eu-central-1";
///     const auto api = http::any_sender(client) | http::sigv4(aws) | http::retries();
///
/// * The fields Host, Content-Type and X-Amz-* are signed, those of the client's options, too.
///   X-Amz-Date and, with temporary credentials, X-Amz-Security-Token are added; so is
///   X-Amz-Content-Sha256 for S3.
/// * In path and query, every byte that RFC 3986 does not call unreserved is sent encoded, and
///   empty parameters are not sent: services differ in how they read anything else. A plus sign is
///   a plus sign. Dot segments and empty segments of a path are gone; for S3, where they belong to
///   the key, empty ones stay, and dot segments do if `client_options::keep_dot_segments` says so.
/// * A body in memory is signed. A streamed one is not, so it must be sent over https, or come with
///   an X-Amz-Content-Sha256 of the caller's, which is signed as it is.
/// * A request with an Authorization field of the caller's is sent as it is. So is one that a
///   redirect leads to another origin.
///
/// Credentials are kept, and replaced 15 minutes before they expire; where that fails they are used
/// until 10 minutes before. A process that is made from a snapshot gets its own
/// (`process_restored()`). Of several requests of one context that need new ones, one fetches them;
/// no context waits for another.
///
/// Errors: `error` {`no_credentials`, `unsigned_body`}; those of the source; when it is made,
/// `bad_option` (as `system_error`).
/// Per-operation cancellation: terminal.
/// Thread safety: as `layer`.
/// Complexity: linear in the request; the body is hashed where the request was made.
/// Source: AWS, "Create a signed AWS API request".
std::shared_ptr<const layer> sigv4(sigv4_options with);

} // namespace loopsafe::http

#include <loopsafe/http/impl/sigv4.hpp>

#endif
