// SPDX-License-Identifier: BSL-1.0
// A connector probes.
// expect: the connector does not meet the concept loopsafe::connector: .*it lacks .bool
// probe\(connection_type&\) const noexcept expect: (satisfaction of|does not satisfy) .can_probe\b
#include "connectors.hpp"

struct incomplete {
    using connection_type = connection;
    boost::asio::awaitable<connection> connect(boost::asio::any_io_executor) const;
    bool is_clean(const connection&) const noexcept;
#ifdef LOOPSAFE_TEST_CURE
    bool probe(connection&) const noexcept;
#endif
};

static_assert(sizeof(loopsafe::connection_pool<incomplete>) != 0);
