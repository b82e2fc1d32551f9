// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_OPTIONS_HPP
#define LOOPSAFE_TLS_OPTIONS_HPP

#include <openssl/types.h>

#include <functional>
#include <string>
#include <vector>

namespace loopsafe {

/// How a `tls_connector` speaks TLS. As it is: 1.2 or newer, the server verified by what the system
/// trusts.
struct tls_options {
    /// A file of certificates in PEM that are trusted in place of the system's.
    std::string trusted_file = {};

    /// The name that the server is asked for and must prove; the host where it is empty. An address
    /// is proved as an address, and not asked for.
    std::string server_name = {};

    /// False: any server is believed, which is good for tests only.
    bool verify = true;

    /// What the client offers to speak, best first, such as "h2" and "http/1.1" (RFC 7301).
    std::vector<std::string> alpn = {};

    /// Who the client is, where the server wants to know: files in PEM, the certificate first and
    /// then those that lead to its root.
    std::string certificate_file = {};
    std::string private_key_file = {};

    /// Whether a new connection resumes a session of an earlier one, which saves the certificates.
    /// A ticket of TLS 1.3 is used once (RFC 8446, C.4).
    bool resume_sessions = true;

    /// For what is not covered here: called once, with everything above in place.
    std::function<void(SSL_CTX*)> configure = {};
};

} // namespace loopsafe

#endif
