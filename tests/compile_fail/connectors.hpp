// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_COMPILE_FAIL_CONNECTORS_HPP
#define LOOPSAFE_TESTS_COMPILE_FAIL_CONNECTORS_HPP

#include <loopsafe/connection_pool.hpp>

struct connection {};

/// The least that a connector has to have.
struct complete {
    using connection_type = connection;

    boost::asio::awaitable<connection> connect(boost::asio::any_io_executor) const;
    bool is_clean(const connection&) const noexcept;
    bool probe(connection&) const noexcept;
};

/// The least that a policy has to have.
struct complete_policy {
    using mutex_type = loopsafe::no_mutex;
    using clock_type = loopsafe::pool_clock;
    using options = loopsafe::single_use_options;

    static constexpr bool has_home = false;
    static constexpr bool keeps_idle = false;
    static constexpr bool limit_per_context = false;
    static constexpr const char* advice = "";
};

#endif
