// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_OPEN_RESPONSE_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_OPEN_RESPONSE_HPP

#include <loopsafe/http/incoming.hpp>

namespace loopsafe::http::detail {

// A response, with the connection that it is still arriving on.
class open_response : public incoming_response {
public:
    virtual ~open_response() = default;

    // Drops the unread part of the body that has already arrived.
    virtual void drain() = 0;
};

} // namespace loopsafe::http::detail

#endif
