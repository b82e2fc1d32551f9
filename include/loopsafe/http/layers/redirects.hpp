// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_REDIRECTS_HPP
#define LOOPSAFE_HTTP_LAYERS_REDIRECTS_HPP

#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <memory>
#include <string>
#include <vector>

namespace loopsafe::http {

/// What `redirects` may do.
struct redirect_options {
    redirect_options() {}

    /// Redirects in a row; one more is `too_many_redirects`. At least 1.
    int most = 10;

    /// Follows from https to http. What was encrypted so far can be read and changed from there on.
    bool to_plain = false;

    /// Sends a body to another origin, if the server says so with 307 or 308. Amazon S3 does.
    bool body_to_other_origin = false;

    /// Fields that other origins get, too, in addition to Accept*, User-Agent, Range, If-* and
    /// Content-*.
    std::vector<std::string> fields_for_every_origin;
};

/// Follows the redirects 301, 302, 303, 307 and 308, wherever they have a Location (RFC 9110,
/// 15.4).
///
///     const auto api = http::any_sender(client) | http::redirects();
///
/// * 303 turns every method but HEAD into GET; 301 and 302 turn POST into GET, as browsers do. The
///   body, its trailers and the fields Content-* stay behind then. With 307 and 308 the request
///   stays as it is. If its body cannot be sent twice, the redirect is the response.
/// * To an origin other than the first one, fields that may hold a secret are not sent, such as
///   Authorization and Cookie, and of the client's own fields only User-Agent and Accept*; nor is
///   `client_options::authorization` asked. They stay behind, even if a later redirect leads back.
/// * From https to http, and with a body to another origin: `redirect_refused`, unless the options
///   allow it.
/// * A Location is resolved as RFC 3986, 5.2 says; one that is no http or https URL, or stands
///   there twice, is `bad_location`.
///
/// `evidence::hops` counts them, in responses and in errors. The body of a redirect is dropped.
/// Errors: `error` {`too_many_redirects`, `bad_location`, `redirect_refused`}; when it is made,
/// `bad_option` (as `system_error`).
std::shared_ptr<const layer> redirects(redirect_options with = {});
std::shared_ptr<const layer> redirects(int most);

} // namespace loopsafe::http

#include <loopsafe/http/impl/redirects.hpp>

#endif
