// SPDX-License-Identifier: BSL-1.0
// A connector names its connection.
// expect: the connector does not meet the concept loopsafe::connector: .*it lacks .using
// connection_type expect: (satisfaction of|does not satisfy) .names_a_connection_type\b
#include "connectors.hpp"

struct incomplete {
#ifdef LOOPSAFE_TEST_CURE
    using connection_type = connection;
#endif
    boost::asio::awaitable<connection> connect(boost::asio::any_io_executor) const;
    bool is_clean(const connection&) const noexcept;
    bool probe(connection&) const noexcept;
};

static_assert(sizeof(loopsafe::connection_pool<incomplete>) != 0);
