// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONNECTOR_HPP
#define LOOPSAFE_CONNECTOR_HPP

/// The concept that your own kind of connection must meet: how one is made, probed and closed.
///
///     struct my_connector {
///         using connection_type = my_connection;
///         asio::awaitable<my_connection> connect(asio::any_io_executor) const;
///         bool is_clean(const my_connection&) const noexcept;
///         bool probe(my_connection&) const noexcept;
///     };
///     static_assert(loopsafe::connector<my_connector>);
#include <loopsafe/pool/connector.hpp>

#endif
