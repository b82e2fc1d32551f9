// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_IDLE_CONNECTOR_HPP
#define LOOPSAFE_TESTS_BENCH_IDLE_CONNECTOR_HPP

#include <loopsafe/connection_pool.hpp>

namespace bench {

// A connection that costs nothing, so that what is measured is the pool.
struct idle_connection {
    int number = 0;
};

struct idle_connector {
    using connection_type = idle_connection;

    boost::asio::awaitable<idle_connection> connect(boost::asio::any_io_executor) const
    {
        co_return idle_connection();
    }
    bool is_clean(const idle_connection&) const noexcept { return true; }
    bool probe(idle_connection&) const noexcept { return true; }
};

// No limit that has to look at a clock.
template <class Options = loopsafe::kept_connection_options>
Options timeless(std::size_t max_size = 8)
{
    Options options;
    options.max_size = max_size;
    options.idle_timeout = options.max_lifetime = options.probe_after = loopsafe::never;
    return options;
}

} // namespace bench

#endif
