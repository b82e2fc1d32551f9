// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_IMPL_CONNECTOR_HPP
#define LOOPSAFE_TLS_IMPL_CONNECTOR_HPP

#include <loopsafe/tls/detail/handshake.hpp>

#include <utility>

namespace loopsafe {

inline boost::asio::awaitable<tls_stream>
tls_connector::connect(boost::asio::any_io_executor executor, std::source_location where) const
{
    const auto settings = settings_;
    auto below = co_await tcp_.connect(executor, where);
    const auto channel =
        std::make_shared<detail::tls_channel>(std::move(below.next_layer()), settings);
    const auto ec =
        co_await detail::complete(*channel, [&channel] { return channel->engine.handshake(); });
    if (ec) {
        const long verified = SSL_get_verify_result(channel->engine.handle());
        throw tls_error(ec, "handshake",
                        verified == X509_V_OK
                            ? settings->name()
                            : detail::why_not_verified(verified, settings->name()),
                        verified);
    }
    co_return tls_stream(channel, below.home());
}

} // namespace loopsafe

#endif
