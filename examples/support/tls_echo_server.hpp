// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_EXAMPLES_TLS_ECHO_SERVER_HPP
#define LOOPSAFE_EXAMPLES_TLS_ECHO_SERVER_HPP

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

/// Sends back what it receives, on a thread of its own, and counts its handshakes. Its certificate
/// is for "localhost" and signed by itself.
class tls_echo_server {
public:
    tls_echo_server()
    {
        identify();
        boost::asio::co_spawn(context_, listen(), boost::asio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }
    tls_echo_server(const tls_echo_server&) = delete;
    tls_echo_server& operator=(const tls_echo_server&) = delete;
    ~tls_echo_server()
    {
        context_.stop();
        thread_.join();
    }

    boost::asio::ip::tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
    std::size_t handshakes() const { return handshakes_; }
    std::size_t resumed() const { return resumed_; }

    /// Adds this server's certificate to those that a client trusts.
    void trust_me(SSL_CTX* client) const
    {
        require(X509_STORE_add_cert(SSL_CTX_get_cert_store(client), certificate_.get()) == 1);
    }

private:
    using tcp = boost::asio::ip::tcp;
    using stream = boost::asio::ssl::stream<tcp::socket>;
    template <class T>
    using handle = std::unique_ptr<T, void (*)(T*)>;

    static void require(bool done)
    {
        if (!done)
            throw std::runtime_error("OpenSSL makes no certificate");
    }

    void identify()
    {
        const handle<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"),
                                   EVP_PKEY_free);
        X509* const own = certificate_.get();
        require(key != nullptr && own != nullptr);
        X509_set_version(own, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(own), 1);
        X509_gmtime_adj(X509_getm_notBefore(own), -60);
        X509_gmtime_adj(X509_getm_notAfter(own), 24L * 60 * 60);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(own), "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
        X509_set_issuer_name(own, X509_get_subject_name(own));
        X509_set_pubkey(own, key.get());
        const handle<X509_EXTENSION> name(
            X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost"),
            X509_EXTENSION_free);
        require(name != nullptr && X509_add_ext(own, name.get(), -1) == 1);
        require(X509_sign(own, key.get(), EVP_sha256()) != 0);
        require(SSL_CTX_use_certificate(tls_.native_handle(), own) == 1 &&
                SSL_CTX_use_PrivateKey(tls_.native_handle(), key.get()) == 1);
    }

    boost::asio::awaitable<void> listen()
    {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(boost::asio::use_awaitable);
            socket.set_option(tcp::no_delay(true));
            boost::asio::co_spawn(context_, serve(std::move(socket)), boost::asio::detached);
        }
    }

    boost::asio::awaitable<void> serve(tcp::socket socket)
    {
        stream peer(std::move(socket), tls_);
        co_await peer.async_handshake(stream::server, boost::asio::use_awaitable);
        ++handshakes_;
        resumed_ += SSL_session_reused(peer.native_handle()) == 1;
        std::array<char, 1024> some;
        for (;;) {
            const auto n = co_await peer.async_read_some(boost::asio::buffer(some),
                                                         boost::asio::use_awaitable);
            co_await boost::asio::async_write(peer, boost::asio::buffer(some, n),
                                              boost::asio::use_awaitable);
        }
    }

    handle<X509> certificate_{X509_new(), X509_free};
    boost::asio::ssl::context tls_{boost::asio::ssl::context::tls_server};
    boost::asio::io_context context_{1};
    tcp::acceptor acceptor_{context_, {boost::asio::ip::address_v4::loopback(), 0}};
    std::atomic<std::size_t> handshakes_ = 0;
    std::atomic<std::size_t> resumed_ = 0;
    std::thread thread_;
};

#endif
