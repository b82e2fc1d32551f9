// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_RULE_1_TLS_HPP
#define LOOPSAFE_TESTS_LIFETIMES_RULE_1_TLS_HPP

#include "rule_1.hpp"

#include <boost/asio/ssl.hpp>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <stdexcept>

namespace rule_1 {

namespace ssl = boost::asio::ssl;

// A server's context with a key and a certificate made for this process.
inline ssl::context& tls_server()
{
    static ssl::context context = [] {
        const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
            EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free);
        const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
        if (key == nullptr || certificate == nullptr)
            throw std::runtime_error("no certificate");
        X509_set_version(certificate.get(), 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24 * 60 * 60);
        auto* const name = X509_get_subject_name(certificate.get());
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
        X509_set_issuer_name(certificate.get(), name);
        X509_set_pubkey(certificate.get(), key.get());
        if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0)
            throw std::runtime_error("no signature");
        ssl::context made(ssl::context::tls_server);
        if (SSL_CTX_use_certificate(made.native_handle(), certificate.get()) != 1 ||
            SSL_CTX_use_PrivateKey(made.native_handle(), key.get()) != 1)
            throw std::runtime_error("certificate refused");
        return made;
    }();
    return context;
}

inline ssl::context& tls_client()
{
    static ssl::context context(ssl::context::tls_client);
    return context;
}

// `Layer`: what lies below, with `connect` and `touch` of its own.
template <class Layer>
struct tls_over {
    using stream = ssl::stream<typename Layer::stream>;

    static asio::awaitable<std::unique_ptr<stream>> connect(asio::any_io_executor executor,
                                                            tcp::endpoint peer)
    {
        auto below = co_await Layer::connect(executor, peer);
        auto made = std::make_unique<stream>(std::move(*below), tls_client());
        co_await made->async_handshake(ssl::stream_base::client, asio::use_awaitable);
        co_return made;
    }
    static asio::awaitable<void> serve(tcp::socket socket)
    {
        ssl::stream<tcp::socket> accepted(std::move(socket), tls_server());
        co_await accepted.async_handshake(ssl::stream_base::server, asio::use_awaitable);
        co_await wait_for_ever(accepted.get_executor());
    }
    static void touch(stream& connected)
    {
        SSL_set_quiet_shutdown(connected.native_handle(), 1);
        Layer::touch(connected.next_layer());
    }
};

} // namespace rule_1

#endif
