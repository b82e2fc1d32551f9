// SPDX-License-Identifier: BSL-1.0
// A connector tells whether a connection is between messages.
// expect: the connector does not meet the concept loopsafe::connector: .*it lacks .bool
// is_clean\(const connection_type&\) const noexcept expect: (satisfaction of|does not satisfy)
// .can_tell_clean\b
#include "connectors.hpp"

struct incomplete {
    using connection_type = connection;
    boost::asio::awaitable<connection> connect(boost::asio::any_io_executor) const;
#ifdef LOOPSAFE_TEST_CURE
    bool is_clean(const connection&) const noexcept;
#endif
    bool probe(connection&) const noexcept;
};

static_assert(sizeof(loopsafe::connection_pool<incomplete>) != 0);
