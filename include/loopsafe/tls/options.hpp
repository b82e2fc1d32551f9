// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_OPTIONS_HPP
#define LOOPSAFE_TLS_OPTIONS_HPP

#include <openssl/types.h>

#include <functional>
#include <string>
#include <vector>

namespace loopsafe {

/// TLS settings of a `tls_connector`. By default: TLS 1.2 or newer; the server is verified against
/// the system's trusted certificates.
struct tls_options {
    /// A PEM file of trusted certificates, which replace the system's.
    std::string trusted_file = {};

    /// The name that is sent to the server (SNI) and that its certificate must prove; the host if
    /// empty. An address is verified as an address, and not sent.
    std::string server_name = {};

    /// False: any server is accepted. For tests only.
    bool verify = true;

    /// The protocols that the client offers, preferred first, such as "h2" and "http/1.1" (RFC
    /// 7301).
    std::vector<std::string> alpn = {};

    /// The client's certificate, if the server requires one: PEM files, the certificate first,
    /// followed by the chain to its root. Both or neither; a key that is encrypted can be loaded in
    /// `configure`.
    std::string certificate_file = {};
    std::string private_key_file = {};

    /// Whether a new connection resumes an earlier session, which saves the exchange of
    /// certificates. A ticket of TLS 1.3 is used once (RFC 8446, C.4).
    bool resume_sessions = true;

    /// For other settings: called once, after all of the above have been applied.
    std::function<void(SSL_CTX*)> configure = {};
};

} // namespace loopsafe

#endif
