// SPDX-License-Identifier: BSL-1.0
// A connector connects.
// expect: the connector does not meet the concept loopsafe::connector: it lacks
// expect: awaitable<connection_type> connect\(boost::asio::any_io_executor\) const
// expect: (satisfaction of|does not satisfy) .can_connect\b
#include "connectors.hpp"

struct incomplete {
    using connection_type = connection;
#ifdef LOOPSAFE_TEST_CURE
    boost::asio::awaitable<connection> connect(boost::asio::any_io_executor) const;
#endif
    bool is_clean(const connection&) const noexcept;
    bool probe(connection&) const noexcept;
};

static_assert(sizeof(loopsafe::connection_pool<incomplete>) != 0);
