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
    auto channel = co_await detail::shake_hands(std::move(below.next_layer()), settings, where);
    co_return tls_stream(std::move(channel), below.home());
}

} // namespace loopsafe

#endif
