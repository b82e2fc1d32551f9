// SPDX-License-Identifier: BSL-1.0
// A connection moves without throwing.
// expect: the connector does not meet the concept loopsafe::connector: .*or that type may throw
// when it is moved expect: (satisfaction of|does not satisfy) .names_a_connection_type\b
#include "connectors.hpp"

struct incomplete {
    struct connection_type : connection {
#ifndef LOOPSAFE_TEST_CURE
        connection_type(connection_type&&);
#endif
    };
    boost::asio::awaitable<connection_type> connect(boost::asio::any_io_executor) const;
    bool is_clean(const connection_type&) const noexcept;
    bool probe(connection_type&) const noexcept;
};

static_assert(sizeof(loopsafe::connection_pool<incomplete>) != 0);
