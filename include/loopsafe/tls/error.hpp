// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_ERROR_HPP
#define LOOPSAFE_TLS_ERROR_HPP

#include <loopsafe/error.hpp>

#include <string>

namespace loopsafe {

/// Thrown when a TLS handshake fails, or a TLS option is invalid.
///
/// `code()` is OpenSSL's error, in the category of `<boost/asio/ssl/error.hpp>`, or that of the
/// socket or of a file.
class tls_error : public located_error {
public:
    tls_error(error_code code, const char* stage, const std::string& what, long verify_result = 0,
              const std::source_location& where = {})
        : located_error(code, std::string("tls ") + stage + ' ' + what, where),
          stage_(stage),
          verify_result_(verify_result)
    {
    }

    /// "configure" or "handshake".
    const char* stage() const noexcept { return stage_; }

    /// Why the server's certificate was rejected, an `X509_V_ERR_...`; `X509_V_OK` if it was not.
    long verify_result() const noexcept { return verify_result_; }

private:
    const char* stage_;
    long verify_result_;
};

} // namespace loopsafe

#endif
