// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_CERTIFICATES_HPP
#define LOOPSAFE_TESTS_SUPPORT_CERTIFICATES_HPP

#include <loopsafe/detail/c_deleter.hpp>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <utility>

/// Keys and certificates made for one test, and gone with it.
namespace certificates {

using key_handle = std::unique_ptr<EVP_PKEY, loopsafe::detail::c_deleter<&EVP_PKEY_free>>;
using certificate_handle = std::unique_ptr<X509, loopsafe::detail::c_deleter<&X509_free>>;

inline void require(bool done)
{
    if (!done)
        throw std::runtime_error("OpenSSL makes no certificate");
}

class directory {
public:
    directory()
    {
        std::string name = (std::filesystem::temp_directory_path() / "loopsafe.XXXXXX").string();
        require(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    directory(const directory&) = delete;
    directory& operator=(const directory&) = delete;
    ~directory() { std::filesystem::remove_all(path_); }

    std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

struct wanted {
    std::string alternative = "DNS:localhost"; ///< as in subjectAltName; empty for none
    std::string common_name = "";
    long starts_in = -60; ///< seconds
    long ends_in = 24L * 60 * 60;
    bool authority = false;
};

/// A certificate with its key.
struct identity {
    key_handle key;
    certificate_handle certificate;

    void save(const std::string& certificate_file, const std::string& key_file = {}) const
    {
        const auto write = [](const std::string& name, auto write_to) {
            const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
                std::fopen(name.c_str(), "w"), std::fclose);
            require(file != nullptr && write_to(file.get()) == 1);
        };
        write(certificate_file,
              [this](std::FILE* to) { return PEM_write_X509(to, certificate.get()); });
        if (!key_file.empty())
            write(key_file, [this](std::FILE* to) {
                return PEM_write_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
            });
    }
};

inline void add_extension(X509* to, X509* issuer, int what, const std::string& value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, loopsafe::detail::c_deleter<&X509_EXTENSION_free>> made(
        X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()));
    require(made != nullptr && X509_add_ext(to, made.get(), -1) == 1);
}

/// Signed by the issuer, or by itself.
inline identity make(const wanted& what, const identity* issuer = nullptr)
{
    static int serial = 0;
    identity made{key_handle(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")),
                  certificate_handle(X509_new())};
    auto* const certificate = made.certificate.get();
    require(made.key != nullptr && certificate != nullptr);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), what.starts_in);
    X509_gmtime_adj(X509_getm_notAfter(certificate), what.ends_in);
    const auto name =
        what.common_name.empty() ? "certificate " + std::to_string(serial) : what.common_name;
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_pubkey(certificate, made.key.get());
    X509* const signer = issuer != nullptr ? issuer->certificate.get() : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    add_extension(certificate, signer, NID_basic_constraints,
                  what.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!what.alternative.empty())
        add_extension(certificate, signer, NID_subject_alt_name, what.alternative);
    require(X509_sign(certificate, issuer != nullptr ? issuer->key.get() : made.key.get(),
                      EVP_sha256()) != 0);
    return made;
}

/// Has a server, or a client, present itself with it.
inline void use(SSL_CTX* context, const identity& who)
{
    require(SSL_CTX_use_certificate(context, who.certificate.get()) == 1 &&
            SSL_CTX_use_PrivateKey(context, who.key.get()) == 1);
}

} // namespace certificates

#endif
