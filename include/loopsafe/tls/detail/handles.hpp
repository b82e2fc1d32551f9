// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_DETAIL_HANDLES_HPP
#define LOOPSAFE_TLS_DETAIL_HANDLES_HPP

#include <loopsafe/detail/c_deleter.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "loopsafe's TLS needs OpenSSL 3.0 or newer."
#endif

namespace loopsafe::detail {

using ssl_handle = std::unique_ptr<SSL, c_deleter<&SSL_free>>;
using ssl_context_handle = std::unique_ptr<SSL_CTX, c_deleter<&SSL_CTX_free>>;
using ssl_session_handle = std::unique_ptr<SSL_SESSION, c_deleter<&SSL_SESSION_free>>;

} // namespace loopsafe::detail

#endif
