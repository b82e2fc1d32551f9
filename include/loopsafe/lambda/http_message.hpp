// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_HTTP_MESSAGE_HPP
#define LOOPSAFE_LAMBDA_HTTP_MESSAGE_HPP

#include <loopsafe/http/fields.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace loopsafe::lambda {

/// What a gateway says of a request besides; a plain server says nothing of it. What the event
/// lacks is empty.
struct gateway_context {
    std::string request_id = {};
    std::string account_id = {};
    std::string api_id = {};
    std::string domain_name = {};
    std::string route_key = {};
    std::string stage = {};
    std::int64_t time_epoch_ms = 0;
    std::map<std::string, std::string, std::less<>> path_parameters = {};
    std::map<std::string, std::string, std::less<>> stage_variables = {};
    std::string authorizer = {};     ///< JSON
    std::string authentication = {}; ///< JSON
};

/// A request, the same whether it came by an event (API Gateway, function URL) or by a connection.
struct http_request {
    std::string method = {};
    std::string path = "/"; ///< percent-encoded; what a gateway has decoded is encoded again
    std::string query = {}; ///< as it came, without the "?"
    /// Names in lower case, each once: values of the same name are joined by a comma. Those of the
    /// connection (`connection`, `transfer-encoding`, ...) and `cookie` are not among them.
    http::fields headers = {};
    std::vector<std::string> cookies = {}; ///< `name=value`
    std::string body = {};                 ///< the bytes, without base64
    std::string protocol = {};             ///< `HTTP/1.1`
    std::string source_ip = {};
    std::optional<gateway_context> gateway = {};
};

/// An answer, the same way back.
///
/// Without a `content-type`, a body that is UTF-8 is `text/plain; charset=utf-8`, another
/// `application/octet-stream`. Fields of the same name are joined by ", ". `set-cookie` belongs
/// to the cookies; fields of the connection and `content-length` are dropped. A 204 or 304 has no
/// body.
struct http_response {
    int status = 200; ///< 200 to 599
    http::fields headers = {};
    std::vector<std::string> cookies = {}; ///< values of `set-cookie`
    std::string body = {};                 ///< any bytes
};

} // namespace loopsafe::lambda

#endif
