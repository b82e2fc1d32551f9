// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_HTTP_EVENT_HPP
#define LOOPSAFE_LAMBDA_HTTP_EVENT_HPP

#include <loopsafe/detail/base64.hpp>
#include <loopsafe/lambda/detail/http_normal.hpp>
#include <loopsafe/lambda/detail/json_members.hpp>
#include <loopsafe/lambda/function_error.hpp>
#include <loopsafe/lambda/http_message.hpp>
#include <loopsafe/lambda/json.hpp>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::lambda {

/// Reads an event of API Gateway's HTTP APIs or of a function URL (payload format 2.0), for
/// `json()`:
///
///     asio::awaitable<lambda::http_response> shop(lambda::http_request request);
///
///     lambda::serve(lambda::json(shop));            // in Lambda
///     co_await lambda::serve_http(acceptor, shop);  // on a server of one's own
///
/// What the event lacks is empty; without `cookies` they are read from the field of that name.
/// Errors: `unmarshal_error` where it is another event, or a member has another type than it
/// should; where `body` is said to be base64 (RFC 4648, 4), and is not; where a field could not be
/// sent.
http_request tag_invoke(const boost::json::value_to_tag<http_request>&,
                        const boost::json::value& from);

/// Writes the answer to such an event. A body that is no UTF-8 is sent as base64. Errors:
/// `marshal_error` where the status is none of an answer, or a cookie could not be sent.
void tag_invoke(const boost::json::value_from_tag&, boost::json::value& to,
                const http_response& from);

} // namespace loopsafe::lambda

#include <loopsafe/lambda/impl/http_event.hpp>

#endif
