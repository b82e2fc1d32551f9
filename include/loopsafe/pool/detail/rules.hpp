// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_RULES_HPP
#define LOOPSAFE_POOL_DETAIL_RULES_HPP

#include <loopsafe/error.hpp>
#include <loopsafe/pool/core/parts.hpp>
#include <loopsafe/pool/error.hpp>

#include <chrono>
#include <string>

// Checks the options of a pool.
namespace loopsafe::detail {

[[noreturn]] inline void refuse_option(const std::string& what)
{
    throw boost::system::system_error(make_error_code(errc::bad_option), what);
}

template <class Options>
pool_rules checked_rules(const Options& o, bool keeps_idle, bool limit_per_context)
{
    using std::chrono::milliseconds;
    const auto zero = milliseconds::zero();
    const auto refuse = [&o](const char* what) { refuse_option(pool_title(o.name) + ": " + what); };
    if (o.max_size == 0)
        refuse("max_size must be at least 1");
    if (o.acquire_timeout < zero)
        refuse("acquire_timeout must not be negative");
    if (o.connect_timeout <= zero)
        refuse("connect_timeout must be more than 0");
    pool_rules rules;
    rules.max_size = o.max_size;
    rules.max_waiting = o.max_waiting;
    rules.keeps_idle = keeps_idle;
    rules.limit_per_context = limit_per_context;
    if constexpr (requires { o.idle_timeout; }) {
        if (o.idle_timeout <= zero)
            refuse("idle_timeout must be more than 0; to keep no connections, use null_pool");
        if (o.max_lifetime <= zero)
            refuse("max_lifetime must be more than 0");
        if (o.probe_after < zero)
            refuse("probe_after must not be negative");
        if (!(o.lifetime_jitter >= 0.0 && o.lifetime_jitter <= 1.0))
            refuse("lifetime_jitter must be between 0 and 1");
        const auto limit = [](milliseconds t) {
            using std::chrono::nanoseconds;
            return t > std::chrono::duration_cast<milliseconds>(nanoseconds::max() / 2)
                       ? nanoseconds::max()
                       : nanoseconds(t);
        };
        rules.idle_timeout = limit(o.idle_timeout);
        rules.max_lifetime = limit(o.max_lifetime);
        rules.probe_after = limit(o.probe_after);
    }
    if constexpr (requires { o.max_parked; }) {
        if (o.max_parked == 0)
            refuse("max_parked must be at least 1; to carry nothing over, use "
                   "per_context_pool");
    }
    return rules;
}

} // namespace loopsafe::detail

#endif
