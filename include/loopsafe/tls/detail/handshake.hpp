// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_DETAIL_HANDSHAKE_HPP
#define LOOPSAFE_TLS_DETAIL_HANDSHAKE_HPP

#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/tls/detail/channel.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <source_location>
#include <string>
#include <utility>

namespace loopsafe::detail {

// Runs a step until it no longer has to wait.
template <class Step>
asio::awaitable<error_code> complete(tls_channel& channel, Step step)
{
    for (;;) {
        if (!channel.socket.is_open())
            co_return asio::error::operation_aborted;
        const tls_step done = step();
        if (done.needs == tls_step::wait::none)
            co_return done.ec;
        const auto ready = done.needs == tls_step::wait::to_read ? asio::socket_base::wait_read
                                                                 : asio::socket_base::wait_write;
        const auto [ec] =
            co_await channel.socket.async_wait(ready, asio::as_tuple(asio::use_awaitable));
        if (ec)
            co_return ec;
    }
}

// With advice.
inline std::string why_refused(const error_code& ec, long result, const std::string& name)
{
    if (result == X509_V_OK) {
        const auto reason = ERR_GET_REASON(static_cast<unsigned long>(ec.value()));
        const bool not_tls =
            ec.category() == asio::error::get_ssl_category() &&
            (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
             reason == SSL_R_PACKET_LENGTH_TOO_LONG);
        return not_tls ? name + ": the server does not speak TLS on this port" : name;
    }
    std::string text = name + ": " + X509_verify_cert_error_string(result);
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return text + "; see tls_options::server_name, and the names in the certificate (openssl "
                      "s_client -showcerts)";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return text + "; if the certificate is right, set tls_options::trusted_file to its root";
    default: return text;
    }
}

// Errors: `tls_error` in the stage "handshake".
inline asio::awaitable<std::shared_ptr<tls_channel>>
shake_hands(asio::ip::tcp::socket connected, std::shared_ptr<const tls_settings> settings,
            std::source_location where = {})
{
    const auto channel = share_new<tls_channel>(std::move(connected), settings);
    const auto ec = co_await complete(*channel, [&channel] { return channel->engine.handshake(); });
    if (ec) {
        const long verified = SSL_get_verify_result(channel->engine.handle());
        throw tls_error(ec, "handshake", why_refused(ec, verified, settings->name()), verified,
                        where);
    }
    co_return channel;
}

} // namespace loopsafe::detail

#endif
