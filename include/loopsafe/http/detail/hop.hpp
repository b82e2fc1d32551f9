// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_HOP_HPP
#define LOOPSAFE_HTTP_DETAIL_HOP_HPP

#include <chrono>
#include <optional>

namespace loopsafe::http::detail {

// What the layers around a client know about one of the requests that they send.
struct hop {
    std::optional<std::chrono::nanoseconds> due; // of all of them together, on the steady clock
    bool foreign = false;                        // to an origin that the caller has not named
    int attempts = 1;
    int hops = 0;
};

} // namespace loopsafe::http::detail

#endif
