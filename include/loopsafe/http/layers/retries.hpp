// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_RETRIES_HPP
#define LOOPSAFE_HTTP_LAYERS_RETRIES_HPP

#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <chrono>
#include <memory>
#include <vector>

namespace loopsafe::http {

/// What `retries` may do.
struct retry_options {
    retry_options() {}

    int attempts = 3; ///< the first one included; at least 1

    /// The pause before the second attempt is random, up to this; that before each further one up
    /// to twice as long as before.
    std::chrono::milliseconds first_pause = std::chrono::milliseconds(100);
    /// No random pause is longer.
    std::chrono::milliseconds longest_pause = std::chrono::seconds(5);
    /// A response that asks for a longer pause (Retry-After) is the result.
    std::chrono::milliseconds longest_retry_after = std::chrono::seconds(30);

    /// The statuses that are worth another attempt.
    std::vector<int> statuses{408, 425, 429, 502, 503, 504};
};

/// Sends a request again if it failed, or was answered with a status that says so, and if that does
/// no harm.
///
///     const auto api = http::any_sender(client) | http::retries();
///
/// * A request of which nothing was sent may always be sent again: no connection could be made, or
///   it broke at once.
/// * One that may have arrived only if it is idempotent (RFC 9110, 9.2.2), has an Idempotency-Key
///   or `replay::safe`: the connection was lost, or the first byte of the response was late, or the
///   status is one of `retry_options::statuses`.
/// * Never: with `replay::never`; if the body cannot be sent twice; after a cancellation, a refused
///   context, an error of the pool, a response that breaks the protocol or exceeds a limit, a
///   certificate that is not trusted; once the response is being read by `with_response()`.
///
/// It pauses before each further attempt, on the clock of the client's policy: a random time, so
/// that clients do not come back all at once; with a Retry-After at least that long. If the pause
/// would end after the request's deadline (`timeouts::total`), what there is stands.
///
/// While a server fails, retries make it worse: each origin has a budget of 100. A failed attempt
/// takes 1, a successful one gives 0.1 back, and at 50 or less there are no further attempts.
///
/// `evidence::attempts` counts them, in responses and in errors.
/// Errors: those of the last attempt; when it is made, `bad_option` (as `system_error`).
std::shared_ptr<const layer> retries(retry_options with = {});
std::shared_ptr<const layer> retries(int attempts);

} // namespace loopsafe::http

#include <loopsafe/http/impl/retries.hpp>

#endif
