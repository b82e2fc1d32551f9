// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_IMPL_CONNECTOR_HPP
#define LOOPSAFE_TCP_IMPL_CONNECTOR_HPP

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sstream>

namespace loopsafe {

inline boost::asio::awaitable<tcp_stream>
tcp_connector::connect(boost::asio::any_io_executor executor, std::source_location where) const
{
    namespace asio = boost::asio;
    if (detail::named_context(executor) == nullptr)
        throw context_error(detail::refusal({}, executor, "tcp_connector", "connect", where,
                                            "pass the executor of an io_context"));
    const auto token = asio::as_tuple(asio::use_awaitable);
    asio::ip::tcp::socket socket(executor);
    if (const auto* endpoint = std::get_if<asio::ip::tcp::endpoint>(&target_)) {
        const auto [ec] = co_await socket.async_connect(*endpoint, token);
        if (ec) {
            std::ostringstream target;
            target << *endpoint;
            throw tcp_error(ec, "connect", target.str(), where);
        }
    } else {
        const auto& name = std::get<host_and_service>(target_);
        const auto target = name.host + ':' + name.service;
        asio::ip::tcp::resolver resolver(executor);
        const auto [resolve_ec, addresses] =
            co_await resolver.async_resolve(name.host, name.service, token);
        if (resolve_ec)
            throw tcp_error(resolve_ec, "resolve",
                            name.host.find_first_of(":/") == std::string::npos
                                ? target
                                : target + " (the first argument is a host without its port)",
                            where);
        const auto [ec, reached] = co_await asio::async_connect(socket, addresses, token);
        if (ec)
            throw tcp_error(ec, "connect", target, where);
    }
    error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    co_return tcp_stream(std::move(socket), where);
}

static_assert(connector<tcp_connector> && can_abandon<tcp_connector> && can_carry<tcp_connector>);

} // namespace loopsafe

#endif
