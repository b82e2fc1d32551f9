// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_DETAIL_SETTINGS_HPP
#define LOOPSAFE_TLS_DETAIL_SETTINGS_HPP

#include <loopsafe/detail/restored_hooks.hpp>
#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/tls/detail/engine.hpp>
#include <loopsafe/tls/detail/sessions.hpp>
#include <loopsafe/tls/error.hpp>
#include <loopsafe/tls/options.hpp>

#include <boost/asio/ip/address.hpp>

#include <openssl/rand.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe::detail {

// The settings that all connections of one client share, for every server. Making one reads all of
// the system's trusted certificates, which takes milliseconds.
class tls_context {
public:
    explicit tls_context(const tls_options& options) : context_(SSL_CTX_new(TLS_client_method()))
    {
        require(context_ != nullptr, "OpenSSL");
        reseed_when_restored();
        ERR_clear_error(); // of what others have left
        auto* const context = context_.get();
        require(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1, "minimum version");
        if (options.trusted_file.empty())
            require(SSL_CTX_set_default_verify_paths(context) == 1, "system certificates");
        else
            require(SSL_CTX_load_verify_file(context, options.trusted_file.c_str()) == 1,
                    "trusted_file " + options.trusted_file);
        SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
        // OpenSSL's own asks on the terminal.
        SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return 0; });
        if (!options.certificate_file.empty())
            require(SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) ==
                        1,
                    "certificate_file " + options.certificate_file);
        if (!options.private_key_file.empty())
            require(SSL_CTX_use_PrivateKey_file(context, options.private_key_file.c_str(),
                                                SSL_FILETYPE_PEM) == 1,
                    "private_key_file " + options.private_key_file);
        if (!options.alpn.empty()) {
            const auto offered = alpn_list(options.alpn);
            require(SSL_CTX_set_alpn_protos(context, offered.data(),
                                            static_cast<unsigned>(offered.size())) == 0,
                    "alpn");
        }
        if (options.resume_sessions) {
            SSL_CTX_set_session_cache_mode(context,
                                           SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
            SSL_CTX_sess_set_new_cb(context, &keep_session);
        }
        if (options.configure)
            options.configure(context);
        const bool has_certificate = SSL_CTX_get0_certificate(context) != nullptr;
        const bool has_key = SSL_CTX_get0_privatekey(context) != nullptr;
        require(!has_certificate || has_key, "certificate_file without a private_key_file");
        require(has_certificate || !has_key, "private_key_file without a certificate_file");
        require(!has_key || SSL_CTX_check_private_key(context) == 1,
                "private_key_file does not fit the certificate_file");
    }

    SSL_CTX* get() const noexcept { return context_.get(); }

    static void require(bool taken, const std::string& what)
    {
        if (taken)
            return;
        const auto reason = ERR_get_error();
        error_code why = errc::bad_option;
        if (ERR_GET_LIB(reason) == ERR_LIB_SYS) // the errno: OpenSSL's text says less
            why = {ERR_GET_REASON(reason), boost::system::system_category()};
        else if (reason != 0)
            why = {static_cast<int>(reason), boost::asio::error::get_ssl_category()};
        ERR_clear_error();
        throw tls_error(why, "configure", what);
    }

private:
    // OpenSSL knows a fork by the number of the process, which a snapshot does not change.
    static void reseed_when_restored() noexcept
    {
        static restored_hook hook{[] { RAND_poll(); }};
        [[maybe_unused]] static const bool added = (add_restored_hook(hook), true);
    }

    static std::vector<unsigned char> alpn_list(const std::vector<std::string>& names)
    {
        std::vector<unsigned char> list;
        for (const auto& name : names) {
            require(!name.empty() && name.size() < 256, "alpn \"" + name + '"');
            list.push_back(static_cast<unsigned char>(name.size()));
            list.insert(list.end(), name.begin(), name.end());
        }
        return list;
    }

    static int keep_session(SSL* ssl, SSL_SESSION* session) noexcept;

    ssl_context_handle context_;
};

// The settings that all connections to one server share.
class tls_settings {
public:
    tls_settings(std::string server_name, std::shared_ptr<const tls_context> context)
        : name_(without_root_dot(std::move(server_name))), context_(std::move(context))
    {
        error_code not_an_address;
        boost::asio::ip::make_address(name_, not_an_address);
        is_address_ = !not_an_address;
    }
    tls_settings(const std::string& host, const tls_options& options)
        : tls_settings(options.server_name.empty() ? host : options.server_name,
                       share_new<const tls_context>(options))
    {
    }
    tls_settings(const tls_settings&) = delete;
    tls_settings& operator=(const tls_settings&) = delete;

    SSL_CTX* context() const noexcept { return context_->get(); }
    const std::string& name() const noexcept { return name_; }

    // Before the handshake.
    void prepare(SSL* ssl) const
    {
        auto* const rules = SSL_get0_param(ssl);
        X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        if (is_address_) {
            tls_context::require(X509_VERIFY_PARAM_set1_ip_asc(rules, name_.c_str()) == 1, name_);
        } else {
            tls_context::require(X509_VERIFY_PARAM_set1_host(rules, name_.data(), name_.size()) ==
                                         1 &&
                                     SSL_set_tlsext_host_name(ssl, name_.c_str()) == 1,
                                 "server name " + name_);
        }
        SSL_set_app_data(ssl, const_cast<tls_settings*>(this));
        if (const auto session = sessions_.take())
            SSL_set_session(ssl, session.get());
    }

private:
    // A name that ends in a dot is the same name, but does not occur in certificates (RFC 6066, 3).
    static std::string without_root_dot(std::string name)
    {
        if (name.ends_with('.'))
            name.pop_back();
        return name;
    }

    friend class tls_context;

    std::string name_;
    bool is_address_ = false;
    std::shared_ptr<const tls_context> context_;
    mutable tls_sessions sessions_;
};

inline int tls_context::keep_session(SSL* ssl, SSL_SESSION* session) noexcept
{
    const auto* const server = static_cast<const tls_settings*>(SSL_get_app_data(ssl));
    server->sessions_.add(ssl_session_handle(session));
    return 1;
}

} // namespace loopsafe::detail

#endif
