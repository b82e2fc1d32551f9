// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_RESPONSE_HPP
#define LOOPSAFE_HTTP_RESPONSE_HPP

#include <loopsafe/http/error.hpp>
#include <loopsafe/http/fields.hpp>

#include <string>

namespace loopsafe::http {

/// The part of a response before its body.
struct response_head {
    int status = 0;        ///< three digits, not 1xx; one outside of 200 to 599 counts as 5xx
    std::string reason;    ///< the server's text for the status; for information only
    bool http_1_0 = false; ///< the server uses HTTP/1.0
    fields headers;

    /// 2xx.
    bool ok() const noexcept { return status >= 200 && status <= 299; }
};

/// A whole response. It is a value: it belongs to no context and to no client.
struct response : response_head {
    std::string body;
    fields trailers; ///< fields that came after the body; they may contradict the headers
    evidence seen;   ///< facts about the request and its connection
};

} // namespace loopsafe::http

#endif
