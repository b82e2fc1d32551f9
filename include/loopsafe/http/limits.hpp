// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LIMITS_HPP
#define LOOPSAFE_HTTP_LIMITS_HPP

#include <loopsafe/never.hpp>

#include <chrono>
#include <cstddef>

namespace loopsafe::http {

/// Limits for the size of a response. If one is exceeded, the request fails with an error that
/// names the limit, and the connection is closed.
struct limits {
    std::size_t head_bytes = 64 * 1024;            ///< status line and fields, of each response
    std::size_t fields = 128;                      ///< in a head, and separately in trailers
    std::size_t body_bytes = 8 * 1024 * 1024;      ///< of a whole response; streams have no limit
    std::size_t chunk_extension_bytes = 16 * 1024; ///< in one response
    std::size_t trailer_bytes = 16 * 1024;         ///< in one response
    std::size_t interim = 5;                       ///< 1xx responses before the final one
};

/// How long each stage of a request may take; `never` for no limit. Each covers only its own stage,
/// whatever the machine's wall clock does.
struct timeouts {
    std::chrono::milliseconds wait = std::chrono::seconds(30);       ///< for a free connection
    std::chrono::milliseconds resolve = std::chrono::seconds(5);     ///< the host name
    std::chrono::milliseconds connect = std::chrono::seconds(5);     ///< all addresses together
    std::chrono::milliseconds tunnel = std::chrono::seconds(10);     ///< the proxy's, to the server
    std::chrono::milliseconds tls = std::chrono::seconds(10);        ///< the handshake
    std::chrono::milliseconds write = std::chrono::seconds(30);      ///< between bytes taken
    std::chrono::milliseconds first_byte = std::chrono::seconds(30); ///< after the request is sent
    std::chrono::milliseconds gap = std::chrono::seconds(30);        ///< between bytes received
    /// Covers the whole request. A body writer is cancelled; a body reader gets the error at its
    /// next read.
    std::chrono::milliseconds total = never;
};

} // namespace loopsafe::http

#endif
