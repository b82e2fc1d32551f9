// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_EVENT_HPP
#define LOOPSAFE_POOL_EVENT_HPP

#include <loopsafe/pool/close_reason.hpp>

#include <exception>
#include <string_view>

namespace loopsafe {

/// The argument of a pool's hook; see `connection_pool::on_event`.
struct pool_event {
    enum class kind {
        connected,
        connect_failed,
        closed,
        refused,
        acquire_timed_out,
        parked,  ///< `carry_over_pool` detached it from its dying context
        adopted, ///< it is attached to the next context
        dropped  ///< it was parked, and is closed: reported instead of `closed`
    };

    kind what;
    close_reason reason = {};      ///< for `closed` and `dropped`
    std::string_view pool;         ///< the name in the options
    std::exception_ptr error = {}; ///< for `connect_failed`
};

} // namespace loopsafe

#endif
