// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_OPEN_RESPONSE_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_OPEN_RESPONSE_HPP

#include <loopsafe/http/incoming.hpp>

namespace loopsafe::http::detail {

// A response with the connection that it still comes on.
class open_response : public incoming_response {
public:
    virtual ~open_response() = default;

    // Drops what is left of the body and has come already.
    virtual void drain() = 0;
};

} // namespace loopsafe::http::detail

#endif
